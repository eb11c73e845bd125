-- One row per day of entry, service, funnel and stage: how many visits came that far, in order.
--
-- What counts is said in funnel_visits. Visits of robots are left out; `funnel_stages` has them. A stage that
-- nobody reached in order on a day has no row.
--
-- Columns  visits; share_of_first: visits of this stage over visits of stage 1, 0 to 1
CREATE VIEW IF NOT EXISTS conversions_daily AS
SELECT
    day,
    service_name,
    funnel,
    stage,
    stage_index,
    visits,
    visits / max(visits) OVER (PARTITION BY day, service_name, funnel) AS share_of_first
FROM
(
    SELECT
        entry_day                                     AS day,
        service_name,
        funnel,
        reached.1                                     AS stage_index,
        -- The latest name, should a stage have been renamed in the middle of a day.
        argMax(reached.3, (reached.2, reached.3))     AS stage,
        count()                                       AS visits
    FROM funnel_visits
    ARRAY JOIN arraySlice(stages, 1, level) AS reached
    WHERE is_bot = 0
    GROUP BY
        day,
        service_name,
        funnel,
        stage_index
)
