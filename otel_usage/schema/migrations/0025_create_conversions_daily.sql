-- One row per day of entry, service, funnel and stage: how many visits came that far, in order.
--
-- What counts is said in funnel_visits. Visits of robots are left out; `funnel_stages` has them. A stage that
-- nobody reached in order on a day has no row; a stage that was renamed has its latest name.
--
-- Columns  visits; share_of_first: visits of this stage over visits of stage 1, 0 to 1
CREATE VIEW IF NOT EXISTS conversions_daily AS
SELECT
    passed.day          AS day,
    passed.service_name AS service_name,
    passed.funnel       AS funnel,
    names.stage         AS stage,
    passed.stage_index  AS stage_index,
    passed.visits       AS visits,
    passed.visits / max(passed.visits) OVER (PARTITION BY passed.day, passed.service_name, passed.funnel) AS share_of_first
FROM
(
    SELECT
        entry_day                             AS day,
        service_name,
        funnel,
        arrayJoin(range(1, toUInt16(level) + 1)) AS stage_index,
        count()                               AS visits
    FROM funnel_visits
    WHERE is_bot = 0
    GROUP BY
        day,
        service_name,
        funnel,
        stage_index
) AS passed
INNER JOIN
(
    SELECT
        service_name,
        funnel,
        stage_index,
        argMax(stage, (latest, stage)) AS stage
    FROM
    (
        SELECT
            state.service_name    AS service_name,
            state.funnel          AS funnel,
            state.stage_index     AS stage_index,
            state.stage           AS stage,
            max(state.reached_at) AS latest
        FROM funnel_stages_state AS state
        GROUP BY
            service_name,
            funnel,
            stage_index,
            stage
    )
    GROUP BY
        service_name,
        funnel,
        stage_index
) AS names ON names.service_name = passed.service_name AND names.funnel = passed.funnel AND names.stage_index = passed.stage_index
