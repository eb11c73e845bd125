-- Sets usage spans of `otel_traces` aside that are no events to count, each with its reason.
--
-- Those that the exporter would set aside have its reasons; a span whose ids or time no event can have, which the OTLP
-- receiver of `otel-usage serve` refuses with its answer, has nobody to be told of it but this table.
CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_rejected_mv TO rejected_events
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    now64(9, 'UTC')                                                                       AS timestamp,
    if(UsageOutcome = 'unstorable', 'ids or time cannot be stored', toString(UsageOutcome)) AS reason,
    concat(TraceId, SpanId)                                                               AS event_id,
    toJSONString(SpanAttributes)                                                          AS body
FROM otel_traces
WHERE UsageOutcome NOT IN ('stored', 'no_event')
