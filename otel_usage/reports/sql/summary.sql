-- Sums of one kind of key by hour, by day or by month: one page.
--
-- Parameters  kind; target: one key ('' for all); service ('' for all); period: hour, day or month; first_hour,
--             last_hour UInt32: whole hours since 1970, those of whole periods; limit, skipped UInt64
-- Columns     date: the beginning of the period, in UTC; visitors: distinct, about 0.9 % error, of the kind server
-- Order       date descending, then key, which both stay as they are while rows count on
SELECT
    multiIf(
        {period:String} = 'hour', toDateTime(state.day, 'UTC') + toIntervalHour(state.hour_of_day),
        {period:String} = 'day', toDateTime(state.day, 'UTC'),
        toDateTime(toStartOfMonth(state.day), 'UTC')
    )                                       AS date,
    state.key                               AS key,
    sum(state.hits)                         AS hits,
    sum(state.transfer)                     AS transfer,
    sum(state.visits)                       AS visits,
    sum(state.errors)                       AS errors,
    uniqCombined64Merge(14)(state.visitors) AS visitors
FROM summaries_state AS state
WHERE state.day >= toDate(intDiv({first_hour:UInt32}, 24)) AND state.day <= toDate(intDiv({last_hour:UInt32}, 24))
    AND toUInt32(toUInt16(state.day)) * 24 + state.hour_of_day BETWEEN {first_hour:UInt32} AND {last_hour:UInt32}
    AND state.kind = {kind:String}
    AND ({target:String} = '' OR state.key = {target:String})
    AND ({service:String} = '' OR state.service_name = {service:String})
GROUP BY date, key
HAVING hits > 0 OR transfer > 0 OR visits > 0
ORDER BY date DESC, key
LIMIT {limit:UInt64} OFFSET {skipped:UInt64}
