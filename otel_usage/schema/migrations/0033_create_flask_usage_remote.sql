-- Hits and bytes per client address, by hour, day and month, under the names of Flask-Track-Usage's tables.
--
-- Columns  date: the beginning of the hour in UTC, the day, or the first day of the month; hits, transfer: exact
CREATE VIEW IF NOT EXISTS flask_usage_remote_hourly AS
SELECT
    toDateTime(state.day, 'UTC') + toIntervalHour(state.hour_of_day) AS date,
    state.key                                                        AS remote,
    sum(state.hits)                                                  AS hits,
    sum(state.transfer)                                              AS transfer
FROM summaries_state AS state
WHERE state.kind = 'remote'
GROUP BY
    date,
    remote;

CREATE VIEW IF NOT EXISTS flask_usage_remote_daily AS
SELECT
    state.day           AS date,
    state.key           AS remote,
    sum(state.hits)     AS hits,
    sum(state.transfer) AS transfer
FROM summaries_state AS state
WHERE state.kind = 'remote'
GROUP BY
    date,
    remote;

CREATE VIEW IF NOT EXISTS flask_usage_remote_monthly AS
SELECT
    toStartOfMonth(state.day) AS date,
    state.key                 AS remote,
    sum(state.hits)           AS hits,
    sum(state.transfer)       AS transfer
FROM summaries_state AS state
WHERE state.kind = 'remote'
GROUP BY
    date,
    remote
