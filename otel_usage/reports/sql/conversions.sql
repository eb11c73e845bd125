-- How far visits came through each funnel, by the day on which they entered it. Visits of robots are left out.
--
-- What counts is said in the view funnel_visits, as for the report funnel, and a test holds the three together: this
-- is what the view conversions_daily has, over all services, at a cost that follows the range and not the age of the
-- database.
--
-- Parameters  first_day, end_day Date (UTC) of entry, half open; first_day_read, end_day_read Date, 31 days around
--             them; service ('' for all); limit
-- Columns     visits: that came to this stage in order; share_of_first: of those that entered that day, 0 to 1; a
--             stage that nobody came to has no row
-- Order       day descending, then funnel and stage
WITH
    stages_reached AS
    (
        SELECT
            state.funnel AS funnel,
            arraySort(arrayZip(
                groupArray(state.stage_index),
                groupArray(toUnixTimestamp64Nano(state.reached_at))
            ))           AS all_stages,
            arrayFilter(
                (reached, before) -> reached.1 != before.1,
                all_stages,
                arrayPushFront(arrayPopBack(all_stages), (toUInt8(0), toInt64(0)))
            )            AS stages
        FROM funnel_stages_state AS state
        WHERE state.day >= {first_day_read:Date} AND state.day < {end_day_read:Date}
            AND state.stage_index > 0
            AND ({service:String} = '' OR state.service_name = {service:String})
        GROUP BY state.service_name, funnel, state.visit_key_bytes
        HAVING max(state.is_bot) = 0
    )
SELECT
    day,
    funnel,
    stage_index,
    visits,
    visits / max(visits) OVER (PARTITION BY day, funnel) AS share_of_first
FROM
(
    SELECT
        toDate(fromUnixTimestamp64Nano(stages[1].2, 'UTC')) AS day,
        funnel,
        place                                               AS stage_index,
        count()                                             AS visits
    FROM stages_reached
    ARRAY JOIN range(1, arrayFirstIndex(
        (reached, before, expected) -> reached.1 != expected OR reached.2 < before.2,
        arrayPushBack(stages, (toUInt8(0), toInt64(0))),
        arrayPushFront(stages, stages[1]),
        range(1, length(stages) + 2)
    ))                                                      AS place
    WHERE day >= {first_day:Date} AND day < {end_day:Date}
    GROUP BY day, funnel, stage_index
)
ORDER BY day DESC, funnel, stage_index
LIMIT {limit:UInt32}
