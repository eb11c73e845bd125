-- Lets rows into otel_traces, now that the views which count them are there.
ALTER TABLE otel_traces DROP CONSTRAINT IF EXISTS views_come_first
