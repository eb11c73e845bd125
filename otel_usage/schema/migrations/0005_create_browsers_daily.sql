-- One row per day, service, browser, system, device type and is_bot.
--
-- Columns  visits: begun that day, exact; visitors: distinct, about 0.9 % error, not to be added up
CREATE VIEW IF NOT EXISTS browsers_daily AS
SELECT
    state.day                               AS day,
    state.service_name                      AS service_name,
    state.browser                           AS browser,
    state.os                                AS os,
    state.device_type                       AS device_type,
    state.is_bot                            AS is_bot,
    sum(state.requests)                     AS requests,
    sum(state.visits)                       AS visits,
    uniqCombined64Merge(14)(state.visitors) AS visitors
FROM browsers_daily_state AS state
GROUP BY
    day,
    service_name,
    browser,
    os,
    device_type,
    is_bot
