-- Hits and bytes per user agent, by hour, day and month, under the names of Flask-Track-Usage's tables.
--
-- Columns  date: the beginning of the hour in UTC, the day, or the first day of the month; hits, transfer: exact
CREATE VIEW IF NOT EXISTS flask_usage_useragent_hourly AS
SELECT
    toDateTime(state.day, 'UTC') + toIntervalHour(state.hour_of_day) AS date,
    state.key                                                        AS useragent,
    sum(state.hits)                                                  AS hits,
    sum(state.transfer)                                              AS transfer
FROM summaries_state AS state
WHERE state.kind = 'useragent'
GROUP BY
    date,
    useragent;

CREATE VIEW IF NOT EXISTS flask_usage_useragent_daily AS
SELECT
    state.day           AS date,
    state.key           AS useragent,
    sum(state.hits)     AS hits,
    sum(state.transfer) AS transfer
FROM summaries_state AS state
WHERE state.kind = 'useragent'
GROUP BY
    date,
    useragent;

CREATE VIEW IF NOT EXISTS flask_usage_useragent_monthly AS
SELECT
    toStartOfMonth(state.day) AS date,
    state.key                 AS useragent,
    sum(state.hits)           AS hits,
    sum(state.transfer)       AS transfer
FROM summaries_state AS state
WHERE state.kind = 'useragent'
GROUP BY
    date,
    useragent
