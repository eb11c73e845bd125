-- Visits that came to a stage of a funnel and not to the next one: where they went, and the trace of their last request.
--
-- What counts for a stage is said in the view funnel_visits, as for the report funnel. A visit that came to the last
-- stage is no loss; the last stage is the last one that any visit of the service reached in the days that are read.
-- Visits of robots are left out. Those that are lost and those that may still go on are together what the report
-- funnel has lost at the stage.
--
-- Parameters  first_day, end_day Date (UTC) of entry, half open; first_day_read, end_day_read Date, 31 days around
--             them; service, funnel, stage ('' for all); open_since DateTime64(9, 'UTC'): the visit time-out before the
--             present; limit
-- Columns     stage: the one it came to last, in order; reached_at: when; is_open: 1 when the visit had an event since
--             open_since, other than the end of a response, so that it may still go on; last_seen, last_path,
--             last_status_code, last_duration_ms, trace_id: of the last request of the visit, '' and 0 where it is not
--             kept; requests: of the visit from the first day of the range on
-- Order       is_open, so that the limit takes those that may go on first; then reached_at descending, then visit
WITH
    stages_reached AS
    (
        SELECT
            state.service_name    AS service_name,
            state.funnel          AS funnel,
            state.visit_key_bytes AS visit_key_bytes,
            arraySort(arrayZip(
                groupArray(state.stage_index),
                groupArray(toUnixTimestamp64Nano(state.reached_at)),
                groupArray(toString(state.stage))
            ))                    AS all_stages,
            arrayFilter(
                (reached, before) -> reached.1 != before.1,
                all_stages,
                arrayPushFront(arrayPopBack(all_stages), (toUInt8(0), toInt64(0), ''))
            )                     AS stages,
            arrayFirstIndex(
                (reached, before, expected) -> reached.1 != expected OR reached.2 < before.2,
                arrayPushBack(stages, (toUInt8(0), toInt64(0), '')),
                arrayPushFront(stages, stages[1]),
                range(1, length(stages) + 2)
            ) - 1                 AS level,
            max(state.is_bot)     AS is_bot,
            max(max(state.stage_index)) OVER (PARTITION BY service_name, funnel) AS last_stage
        FROM funnel_stages_state AS state
        WHERE state.day >= {first_day_read:Date} AND state.day < {end_day_read:Date}
            AND state.stage_index > 0
            AND ({service:String} = '' OR state.service_name = {service:String})
            AND ({funnel:String} = '' OR state.funnel = {funnel:String})
        GROUP BY service_name, funnel, visit_key_bytes
    ),
    left_behind AS
    (
        SELECT
            service_name,
            funnel,
            visit_key_bytes,
            (service_name, visit_key_bytes) GLOBAL IN (
                SELECT (events.service_name, events.visit_key_bytes)
                FROM events
                WHERE events.timestamp >= {open_since:DateTime64(9, 'UTC')}
                    AND events.event_name != 'response_sent'
                    AND ({service:String} = '' OR events.service_name = {service:String})
            )                                             AS is_open,
            toUInt8(level)                                AS stage_index,
            stages[level].3                               AS stage,
            fromUnixTimestamp64Nano(stages[level].2, 'UTC') AS reached_at
        FROM stages_reached
        WHERE is_bot = 0 AND level > 0 AND level < last_stage
            AND toDate(fromUnixTimestamp64Nano(stages[1].2, 'UTC')) >= {first_day:Date}
            AND toDate(fromUnixTimestamp64Nano(stages[1].2, 'UTC')) < {end_day:Date}
            AND ({stage:String} = '' OR stages[level].3 = {stage:String})
        ORDER BY is_open, reached_at DESC, visit_key_bytes, service_name, funnel
        LIMIT {limit:UInt32}
    ),
    last_requests AS
    (
        SELECT
            events.service_name    AS service_name,
            events.visit_key_bytes AS visit_key_bytes,
            count()                AS requests,
            max((
                events.timestamp,
                events.trace_id_bytes,
                events.span_id_bytes,
                events.path,
                events.status_code,
                events.duration_ns
            ))                     AS latest
        FROM events
        WHERE events.timestamp >= toDateTime64({first_day:Date}, 9, 'UTC')
            AND events.timestamp < toDateTime64({end_day_read:Date}, 9, 'UTC')
            AND events.event_name = 'request'
            AND ({service:String} = '' OR events.service_name = {service:String})
            AND events.visit_key_bytes GLOBAL IN (SELECT visit_key_bytes FROM left_behind)
        GROUP BY service_name, visit_key_bytes
    )
SELECT
    left_behind.funnel AS funnel,
    left_behind.stage_index AS stage_index,
    left_behind.stage AS stage,
    left_behind.service_name AS service_name,
    lower(hex(left_behind.visit_key_bytes)) AS visit_key,
    concat(replaceOne(toString(left_behind.reached_at), ' ', 'T'), 'Z') AS reached_at,
    left_behind.is_open AS is_open,
    if(last_requests.requests = 0, '', concat(replaceOne(toString(last_requests.latest.1), ' ', 'T'), 'Z')) AS last_seen,
    last_requests.latest.4 AS last_path,
    last_requests.latest.5 AS last_status_code,
    round(last_requests.latest.6 / 1e6, 3) AS last_duration_ms,
    last_requests.requests AS requests,
    if(last_requests.requests = 0, '', lower(hex(last_requests.latest.2))) AS trace_id
FROM left_behind
LEFT JOIN last_requests ON last_requests.service_name = left_behind.service_name AND last_requests.visit_key_bytes = left_behind.visit_key_bytes
ORDER BY left_behind.is_open, left_behind.reached_at DESC, left_behind.visit_key_bytes, left_behind.service_name, left_behind.funnel
LIMIT {limit:UInt32}
