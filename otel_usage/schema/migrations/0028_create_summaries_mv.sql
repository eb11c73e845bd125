-- Fills summaries_state: each request once for each kind of key, and the bytes of streams when they were sent.
--
-- A stream's bytes come with its event response_sent; a request that has none adds nothing. Pages that only the
-- browser knows (activity) can begin a visit, so they count for the server, as in browsers_daily, but are no hits.
-- What a request did not say counts under 'none'. The addresses of clients are those that the policy let through.
-- The arrays have names of their own, because ClickHouse 24.8 refuses one that is also a column of the result.
CREATE MATERIALIZED VIEW IF NOT EXISTS summaries_mv TO summaries_state
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    events.service_name                                                              AS service_name,
    toDate(events.timestamp)                                                         AS day,
    summed_by                                                                        AS kind,
    if(value = '', 'none', value)                                                    AS key,
    events.is_bot                                                                    AS is_bot,
    toHour(events.timestamp)                                                         AS hour_of_day,
    countIf(events.event_name = 'request')                                           AS hits,
    sum(ifNull(events.bytes_sent, 0))                                                AS transfer,
    sum(events.visit_is_new)                                                         AS visits,
    countIf(events.event_name = 'request' AND events.status_code >= 500)             AS errors,
    uniqCombined64StateIf(14)(
        events.visitor_id_bytes,
        summed_by = 'server'
            AND events.event_name != 'response_sent'
            AND events.visitor_id_bytes != toFixedString('', 16)
    )                                                                                AS visitors
FROM events
ARRAY JOIN
    ['url', 'remote', 'useragent', 'browser', 'language', 'geo', 'status', 'server'] AS summed_by,
    [
        concat(
            events.scheme, if(events.scheme = '', '', '://'), events.host, events.path,
            if(events.query = '', '', '?'), events.query
        ),
        if(
            events.client_address = toIPv6('::'),
            events.client_address_hash,
            replaceRegexpOne(toString(events.client_address), '^::ffff:([0-9.]+)$', '\\1')
        ),
        toString(events.user_agent),
        toString(events.browser),
        toString(events.language),
        toString(events.country),
        if(events.status_code = 0, '', toString(events.status_code)),
        toString(events.service_name)
    ] AS value
WHERE events.event_name IN ('request', 'response_sent') OR (events.event_name = 'activity' AND summed_by = 'server')
GROUP BY
    service_name,
    day,
    kind,
    key,
    is_bot,
    hour_of_day
