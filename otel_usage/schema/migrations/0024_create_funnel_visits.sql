-- One row per service, funnel and visit that reached any stage: how far it came in order.
--
-- The one place that says what conversion is; conversions_daily and the funnel report read it. A visit counts
-- for stage k when it first reached the stages 1 to k in that order; equal times count.
--
-- Columns  stages: (stage_index, reached_at, stage), each stage's first time, by index;
--          level: the last stage reached in order, 0 when it did not begin with stage 1;
--          entry_day: UTC day of stage 1 (of the first stage in `stages` when level is 0); is_bot
CREATE VIEW IF NOT EXISTS funnel_visits AS
SELECT
    service_name,
    funnel,
    visit_key,
    toDate(stages[1].2) AS entry_day,
    -- How many stages from the first one stand in their place, each no earlier than the one before.
    toUInt8(arrayFirstIndex(
        (reached, before, place) -> reached.1 != place OR reached.2 < before.2,
        -- The last one stands nowhere, so that there always is a break.
        arrayPushBack(stages, (toUInt8(0), toDateTime64(0, 9, 'UTC'), '')),
        arrayPushFront(stages, stages[1]),
        arrayEnumerate(arrayPushBack(stages, stages[1]))
    ) - 1)              AS level,
    stages,
    is_bot
FROM
(
    SELECT
        service_name,
        funnel,
        lower(hex(visit_key_bytes))                             AS visit_key,
        arraySort(groupArray((stage_index, reached_at, stage))) AS stages,
        max(is_bot_at_stage)                                    AS is_bot
    FROM
    (
        SELECT
            state.service_name                                             AS service_name,
            state.funnel                                                   AS funnel,
            state.visit_key_bytes                                          AS visit_key_bytes,
            state.stage_index                                              AS stage_index,
            min(state.reached_at)                                          AS reached_at,
            argMin(toString(state.stage), (state.reached_at, state.stage)) AS stage,
            max(state.is_bot)                                              AS is_bot_at_stage
        FROM funnel_stages_state AS state
        GROUP BY
            service_name,
            funnel,
            visit_key_bytes,
            stage_index
    )
    GROUP BY
        service_name,
        funnel,
        visit_key_bytes
)
