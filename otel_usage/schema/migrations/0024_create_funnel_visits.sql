-- One row per service, funnel and visit that reached any stage: how far it came in order.
--
-- The one place that says what conversion is; conversions_daily and the funnel report read it. A visit counts
-- for stage k when it first reached the stages 1 to k in that order; equal times count. Stages that the funnel
-- file does not have (index 0) are passed over.
--
-- Columns  level: the last stage reached in order, 0 when it did not begin with stage 1;
--          stages: (stage_index, reached_at in nanoseconds since 1970), each stage's first time, by index;
--          entry_day: UTC day of stage 1 (of the first stage in `stages` when level is 0); is_bot
CREATE VIEW IF NOT EXISTS funnel_visits AS
SELECT
    service_name,
    funnel,
    lower(hex(visit_key_bytes))                           AS visit_key,
    toDate(fromUnixTimestamp64Nano(stages[1].2, 'UTC'))   AS entry_day,
    -- How many stages from the first one stand in their place, each no earlier than the one before.
    -- The one pushed back stands nowhere, so that there always is a first that breaks the order.
    toUInt8(arrayFirstIndex(
        (reached, before, place) -> reached.1 != place OR reached.2 < before.2,
        arrayPushBack(stages, (toUInt8(0), toInt64(0))),
        arrayPushFront(stages, stages[1]),
        range(1, length(stages) + 2)
    ) - 1)                                                AS level,
    stages,
    is_bot
FROM
(
    SELECT
        service_name,
        funnel,
        visit_key_bytes,
        -- Of the times that a stage was reached, on several days or under two names, the first one.
        arrayFilter(
            (reached, before) -> reached.1 != before.1,
            all_stages,
            arrayPushFront(arrayPopBack(all_stages), (toUInt8(0), toInt64(0)))
        ) AS stages,
        is_bot
    FROM
    (
        SELECT
            state.service_name    AS service_name,
            state.funnel          AS funnel,
            state.visit_key_bytes AS visit_key_bytes,
            -- Two arrays of numbers are gathered three times faster than one of tuples.
            arraySort(arrayZip(
                groupArray(state.stage_index),
                groupArray(toUnixTimestamp64Nano(state.reached_at))
            ))                    AS all_stages,
            max(state.is_bot)     AS is_bot
        FROM funnel_stages_state AS state
        WHERE state.stage_index > 0
        GROUP BY
            service_name,
            funnel,
            visit_key_bytes
    )
)
