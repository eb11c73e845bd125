-- One row per day, service, kind of key, key and is_bot.
--
-- Columns  day: in UTC; kind: url, remote, useragent, browser,
--          language, geo, status or server; transfer: bytes of bodies; visits: begun then, exact; errors: status
--          500 and above; visitors: distinct, about 0.9 % error, of the kind server alone and else NULL
CREATE VIEW IF NOT EXISTS summaries_daily AS
SELECT
    state.day                                                          AS day,
    state.service_name                                                 AS service_name,
    state.kind                                                         AS kind,
    state.key                                                          AS key,
    state.is_bot                                                       AS is_bot,
    sum(state.hits)                                                    AS hits,
    sum(state.transfer)                                                AS transfer,
    sum(state.visits)                                                  AS visits,
    sum(state.errors)                                                  AS errors,
    if(kind = 'server', uniqCombined64Merge(14)(state.visitors), NULL) AS visitors
FROM summaries_state AS state
GROUP BY
    day,
    service_name,
    kind,
    key,
    is_bot
