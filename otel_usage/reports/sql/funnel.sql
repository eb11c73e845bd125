-- How far visits came through each funnel. Visits of robots are left out.
--
-- What counts is said in the view funnel_visits, and a test holds both together: sums of conversions_daily over
-- the same days are the same visits. Here the days are cut out first, with 31 days around them for visits that
-- last long, so that the cost follows the range and not the age of the database.
--
-- Parameters  first_day, end_day Date (UTC) of entry, half open; first_day_read, end_day_read Date, 31 days around them;
--             service, funnel ('' for all); limit
-- Columns     share_of_first, share_of_previous: 0 to 1; median_seconds_from_previous: between the two
--             in the middle where there are two; 0 for the first stage, and where nobody came; a stage that was reached out of order only has no visits
-- Order       funnel, stage
WITH
    stages_reached AS
    (
        SELECT
            state.service_name    AS service_name,
            state.funnel          AS funnel,
            state.visit_key_bytes AS visit_key_bytes,
            arraySort(arrayZip(
                groupArray(state.stage_index),
                groupArray(toUnixTimestamp64Nano(state.reached_at))
            ))                    AS all_stages,
            arrayFilter(
                (reached, before) -> reached.1 != before.1,
                all_stages,
                arrayPushFront(arrayPopBack(all_stages), (toUInt8(0), toInt64(0)))
            )                     AS stages
        FROM funnel_stages_state AS state
        WHERE state.day >= {first_day_read:Date} AND state.day < {end_day_read:Date}
            AND state.stage_index > 0
            AND ({service:String} = '' OR state.service_name = {service:String})
            AND ({funnel:String} = '' OR state.funnel = {funnel:String})
        GROUP BY service_name, funnel, visit_key_bytes
        HAVING max(state.is_bot) = 0
    ),
    passed AS
    (
        SELECT
            funnel,
            place                                                                              AS stage_index,
            count()                                                                            AS visits,
            quantileExactInclusive((stages[place].2 - stages[greatest(place - 1, 1)].2) / 1e9) AS median_seconds
        FROM stages_reached
        ARRAY JOIN range(1, arrayFirstIndex(
            (reached, before, expected) -> reached.1 != expected OR reached.2 < before.2,
            arrayPushBack(stages, (toUInt8(0), toInt64(0))),
            arrayPushFront(stages, stages[1]),
            range(1, length(stages) + 2)
        ))                                                                                     AS place
        WHERE toDate(fromUnixTimestamp64Nano(stages[1].2, 'UTC')) >= {first_day:Date}
            AND toDate(fromUnixTimestamp64Nano(stages[1].2, 'UTC')) < {end_day:Date}
        GROUP BY funnel, stage_index
    ),
    known AS
    (
        SELECT
            funnel,
            stage_index,
            argMax(stage, (latest, stage)) AS stage,
            min(earliest_day)              AS earliest_day
        FROM
        (
            SELECT
                state.funnel          AS funnel,
                state.stage_index     AS stage_index,
                state.stage           AS stage,
                max(state.reached_at) AS latest,
                min(state.day)        AS earliest_day
            FROM funnel_stages_state AS state
            WHERE state.day >= {first_day:Date} AND state.day < {end_day_read:Date}
                AND state.stage_index > 0
                AND ({service:String} = '' OR state.service_name = {service:String})
                AND ({funnel:String} = '' OR state.funnel = {funnel:String})
            GROUP BY funnel, stage_index, stage
        )
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
        known.funnel                     AS funnel,
        known.stage_index                AS stage_index,
        known.stage                      AS stage,
        passed.visits                    AS visits,
        round(passed.median_seconds, 3)  AS median_seconds,
        max(passed.visits) OVER (PARTITION BY known.funnel) AS first_visits,
        lagInFrame(passed.visits) OVER (
            PARTITION BY known.funnel ORDER BY known.stage_index ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        )                                AS previous_visits
    FROM known
    LEFT JOIN passed ON passed.funnel = known.funnel AND passed.stage_index = known.stage_index
    WHERE known.earliest_day < {end_day:Date} OR passed.visits > 0
)
ORDER BY funnel, stage_index
LIMIT {limit:UInt32}
