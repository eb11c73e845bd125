-- The spans that a Collector has stored in otel_traces, oldest first: all of a trace, or the first ones of a time.
--
-- Parameters  since, until DateTime64(9, 'UTC'), half open; service, trace_id ('' for all); limit
-- Columns     status_code: Unset, Ok or Error; attributes: of the span, as texts
-- Order       timestamp, then span id
SELECT
    concat(replaceOne(toString(toTimeZone(span.Timestamp, 'UTC')), ' ', 'T'), 'Z') AS timestamp,
    span.ServiceName AS service_name,
    span.SpanName AS span_name,
    span.SpanKind AS kind,
    multiIf(span.StatusCode IN ('Error', 'STATUS_CODE_ERROR'), 'Error', span.StatusCode IN ('Ok', 'STATUS_CODE_OK'), 'Ok', 'Unset') AS status_code,
    span.StatusMessage AS status_message,
    round(span.Duration / 1e6, 3) AS duration_ms,
    span.TraceId AS trace_id,
    span.SpanId AS span_id,
    span.ParentSpanId AS parent_span_id,
    span.SpanAttributes AS attributes
FROM otel_traces AS span
WHERE span.Timestamp >= {since:DateTime64(9, 'UTC')} AND span.Timestamp < {until:DateTime64(9, 'UTC')}
    AND ({service:String} = '' OR span.ServiceName = {service:String})
    AND ({trace_id:String} = '' OR span.TraceId = {trace_id:String})
ORDER BY span.Timestamp, span.SpanId
LIMIT {limit:UInt32}
