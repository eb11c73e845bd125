-- How far visits came through each funnel. Visits of robots are left out.
--
-- What counts is said in the view funnel_visits; sums of conversions_daily over the same days are the same visits.
--
-- Parameters  first_day, end_day Date (UTC) of entry, half open; service, funnel ('' for all); limit
-- Columns     share_of_first, share_of_previous: 0 to 1; median_seconds_from_previous: 0 for the first stage,
--             and where nobody came
-- Order       funnel, stage
WITH
    passed AS
    (
        SELECT
            funnel,
            reached.1                                 AS stage_index,
            argMax(reached.3, (reached.2, reached.3)) AS stage,
            count()                                   AS visits,
            quantileExact((toUnixTimestamp64Nano(reached.2) - toUnixTimestamp64Nano(previous.2)) / 1e9) AS median_seconds
        FROM funnel_visits
        ARRAY JOIN
            arraySlice(stages, 1, level)                                             AS reached,
            arraySlice(arrayPushFront(stages, stages[1]), 1, level)                  AS previous
        WHERE is_bot = 0
            AND entry_day >= {first_day:Date} AND entry_day < {end_day:Date}
            AND ({service:String} = '' OR service_name = {service:String})
        GROUP BY funnel, stage_index
    ),
    -- A stage that was reached out of order only is shown too, with no visits.
    known AS
    (
        SELECT
            state.funnel                                                   AS funnel,
            state.stage_index                                              AS stage_index,
            argMax(toString(state.stage), (state.reached_at, state.stage)) AS stage
        FROM funnel_stages_state AS state
        WHERE state.day >= {first_day:Date} AND state.day < {end_day:Date}
            AND state.stage_index > 0
            AND ({service:String} = '' OR state.service_name = {service:String})
            AND ({funnel:String} = '' OR state.funnel = {funnel:String})
        GROUP BY funnel, stage_index
    )
SELECT
    funnel,
    stage_index,
    stage,
    visits,
    if(first_visits = 0, 0, visits / first_visits)                                               AS share_of_first,
    multiIf(stage_index = 1, share_of_first, previous_visits = 0, 0, visits / previous_visits)   AS share_of_previous,
    median_seconds                                                                               AS median_seconds_from_previous
FROM
(
    SELECT
        known.funnel                                     AS funnel,
        known.stage_index                                AS stage_index,
        if(passed.visits = 0, known.stage, passed.stage) AS stage,
        passed.visits                                    AS visits,
        round(passed.median_seconds, 3)                  AS median_seconds,
        max(passed.visits) OVER (PARTITION BY known.funnel) AS first_visits,
        lagInFrame(passed.visits) OVER (
            PARTITION BY known.funnel ORDER BY known.stage_index ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        )                                                AS previous_visits
    FROM known
    LEFT JOIN passed ON passed.funnel = known.funnel AND passed.stage_index = known.stage_index
)
ORDER BY funnel, stage_index
LIMIT {limit:UInt32}
