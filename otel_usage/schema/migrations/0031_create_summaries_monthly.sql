-- One row per month, service, kind of key, key and is_bot.
--
-- Columns  month: its first day; kind: url, remote, useragent, browser,
--          language, geo, status or server; transfer: bytes of bodies; visits: begun then, exact; errors: status
--          500 and above; visitors: distinct, about 0.9 % error, of the kind server alone and else NULL
CREATE VIEW IF NOT EXISTS summaries_monthly AS
SELECT
    toStartOfMonth(state.day)                                          AS month,
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
    month,
    service_name,
    kind,
    key,
    is_bot
