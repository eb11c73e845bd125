-- Hits and bytes per full URL, by hour, day and month, under the names of Flask-Track-Usage's tables.
--
-- Columns  date: the beginning of the hour in UTC, the day, or the first day of the month; hits, transfer: exact
CREATE VIEW IF NOT EXISTS flask_usage_url_hourly AS
SELECT
    toDateTime(state.day, 'UTC') + toIntervalHour(state.hour_of_day) AS date,
    state.key                                                        AS url,
    sum(state.hits)                                                  AS hits,
    sum(state.transfer)                                              AS transfer
FROM summaries_state AS state
WHERE state.kind = 'url'
GROUP BY
    date,
    url;

CREATE VIEW IF NOT EXISTS flask_usage_url_daily AS
SELECT
    state.day           AS date,
    state.key           AS url,
    sum(state.hits)     AS hits,
    sum(state.transfer) AS transfer
FROM summaries_state AS state
WHERE state.kind = 'url'
GROUP BY
    date,
    url;

CREATE VIEW IF NOT EXISTS flask_usage_url_monthly AS
SELECT
    toStartOfMonth(state.day) AS date,
    state.key                 AS url,
    sum(state.hits)           AS hits,
    sum(state.transfer)       AS transfer
FROM summaries_state AS state
WHERE state.kind = 'url'
GROUP BY
    date,
    url
