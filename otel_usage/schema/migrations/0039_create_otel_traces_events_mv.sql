-- Turns usage spans of `otel_traces` into the rows of `events` that the exporter would insert of the same events.
--
-- What pipeline/rows.py reads of each attribute is read here of its text. Spans of our own scope hold their texts as
-- they are to be stored. Those of others get the present names of HTTP attributes for old ones, and lists as their
-- parts with commas between: the Collector writes a list as JSON, rotel in the JSON of OTLP. Nothing here can fail:
-- what is no number, address or id gives an empty value.
CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_events_mv TO events
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    span.Timestamp                                                                    AS timestamp,
    span.event_name                                                                   AS event_name,
    substringUTF8(toValidUTF8(span.ServiceName), 1, 256)                              AS service_name,
    toFixedString(substring(unhex(span.TraceId), 1, 16), 16)                          AS trace_id_bytes,
    toFixedString(substring(unhex(span.SpanId), 1, 8), 8)                             AS span_id_bytes,
    toFixedString(if(match(span.ParentSpanId, '^[0-9a-fA-F]{16}$'), unhex(span.ParentSpanId), ''), 8)
                                                                                      AS parent_span_id_bytes,
    toFixedString(span.keys[1], 16)                                                   AS visit_key_bytes,
    span.event_name IN ('request', 'activity') AND span.attributes['usage.visit.is_new'] = 'true' AS visit_is_new,
    toFixedString(span.keys[2], 16)                                                   AS visitor_id_bytes,
    substringUTF8(span.attributes['user.id'], 1, 256)                                 AS user_id,
    span.addresses[1]                                                                 AS client_address,
    substringUTF8(span.attributes['usage.client.address_hash'], 1, 256)               AS client_address_hash,
    span.addresses[2]                                                                 AS peer_address,
    span.attributes['usage.client.forwarded_for']                                     AS forwarded_for,
    span.attributes['usage.request.has_authorization'] = 'true'                       AS has_authorization,
    substringUTF8(span.attributes['geo.country.iso_code'], 1, 256)                    AS country,
    substringUTF8(
        if(
            span.attributes['geo.region.iso_code'] != '',
            span.attributes['geo.region.iso_code'],
            span.attributes['usage.geo.region.name']
        ),
        1,
        256
    )                                                                                 AS region,
    substringUTF8(span.attributes['geo.locality.name'], 1, 256)                       AS city,
    substringUTF8(span.attributes['usage.client.language'], 1, 256)                   AS language,
    span.attributes['user_agent.original']                                            AS user_agent,
    substringUTF8(span.attributes['user_agent.name'], 1, 256)                         AS browser,
    substringUTF8(span.attributes['user_agent.version'], 1, 256)                      AS browser_version,
    substringUTF8(span.attributes['user_agent.os.name'], 1, 256)                      AS os,
    substringUTF8(span.attributes['user_agent.os.version'], 1, 256)                   AS os_version,
    substringUTF8(span.attributes['usage.device.type'], 1, 256)                       AS device_type,
    span.attributes['user_agent.synthetic.type'] = 'bot'                              AS is_bot,
    substringUTF8(span.attributes['usage.bot.name'], 1, 256)                          AS bot_name,
    substringUTF8(span.attributes['http.request.method'], 1, 256)                     AS method,
    substringUTF8(span.attributes['url.scheme'], 1, 256)                              AS scheme,
    substringUTF8(span.attributes['server.address'], 1, 256)                          AS host,
    span.attributes['url.path']                                                       AS path,
    span.attributes['url.query']                                                      AS query,
    substringUTF8(span.attributes['http.route'], 1, 256)                              AS route,
    substringUTF8(span.attributes['usage.endpoint'], 1, 256)                          AS endpoint,
    substringUTF8(span.attributes['usage.blueprint'], 1, 256)                         AS blueprint,
    span.view_args                                                                    AS view_args,
    toUInt16(least(greatest(span.numbers[1], 0), 65535))                              AS status_code,
    if(span.Duration > 9223372036854775807, 0, span.Duration)                         AS duration_ns,
    if(
        span.attributes['http.response.body.size'] = '',
        NULL,
        toUInt64(least(greatest(span.numbers[2], 0), toInt128('9223372036854775808')))
    )                                                                                 AS bytes_sent,
    span.attributes['usage.referrer.url']                                             AS referrer,
    substringUTF8(span.attributes['usage.referrer.domain'], 1, 256)                   AS referrer_domain,
    substringUTF8(span.attributes['usage.campaign.source'], 1, 256)                   AS campaign_source,
    substringUTF8(span.attributes['usage.campaign.medium'], 1, 256)                   AS campaign_medium,
    substringUTF8(span.attributes['usage.campaign.name'], 1, 256)                     AS campaign_name,
    substringUTF8(span.attributes['usage.campaign.term'], 1, 256)                     AS campaign_term,
    substringUTF8(span.attributes['usage.campaign.content'], 1, 256)                  AS campaign_content,
    -- The span of a request also carries its last object, stage and counter, each of which has a row of its own.
    if(span.is_request, '', substringUTF8(span.attributes['usage.object.type'], 1, 256))        AS object_type,
    if(span.is_request, '', substringUTF8(span.attributes['usage.object.id'], 1, 256))          AS object_id,
    if(span.is_request, '', substringUTF8(span.attributes['usage.funnel.name'], 1, 256))        AS funnel,
    if(span.is_request, '', substringUTF8(span.attributes['usage.funnel.stage.name'], 1, 256))  AS stage,
    if(span.is_request, 0, toUInt8(least(greatest(span.numbers[3], 0), 255)))                   AS stage_index,
    if(span.is_request, '', substringUTF8(span.attributes['usage.counter.name'], 1, 256))       AS counter_name,
    if(
        span.is_request,
        0,
        toInt64(least(
            greatest(span.numbers[4], toInt128('-9223372036854775808')), toInt128('9223372036854775807')
        ))
    )                                                                                 AS counter_value,
    -- The column of visits holds a hash of a visit manager's own key; the key itself must stay readable.
    if(
        span.attributes['session.id'] = '' OR match(span.attributes['session.id'], '^[0-9a-fA-F]{32}$'),
        span.own_properties,
        mapUpdate(
            span.own_properties,
            CAST(
                map('session.id', substringUTF8(span.attributes['session.id'], 1, 256)),
                'Map(LowCardinality(String), String)'
            )
        )
    )                                                                                 AS properties
FROM
(
    SELECT
        Timestamp,
        TraceId,
        SpanId,
        ParentSpanId,
        ServiceName,
        Duration,
        attributes,
        substringUTF8(
            if(mapContains(attributes, 'usage.event.name'), attributes['usage.event.name'], toValidUTF8(SpanName)), 1, 256
        ) AS event_name,
        event_name = 'request' AS is_request,
        -- A key that is not ours, 32 hex digits, is hashed.
        arrayMap(
            key -> multiIf(
                key = '', '',
                match(key, '^[0-9a-fA-F]{32}$'), unhex(key),
                substring(SHA256(substringUTF8(key, 1, 256)), 1, 16)
            ),
            [attributes['session.id'], attributes['usage.visitor.id']]
        ) AS keys,
        -- As Python reads addresses: no leading zeros, a zone only behind IPv6, and `::` for at least one group.
        arrayMap(
            address -> toIPv6OrDefault(
                if(
                    NOT match(address, ':::|(^|:)0[0-9]+\\.|\\.0[0-9]') AND (
                        position(address, '::') = 0
                        OR countSubstrings(address, ':') + (position(address, '.') > 0)
                            - (startsWith(address, '::') OR endsWith(address, '::')) < 8
                    ),
                    address,
                    ''
                )
            ),
            arrayMap(
                address -> if(position(address, '%') = 0, address, extract(address, '^([0-9a-fA-F:.]*:[0-9a-fA-F:.]*)%[^%]+$')),
                [
                    substringUTF8(attributes['client.address'], 1, 64),
                    substringUTF8(attributes['network.peer.address'], 1, 64)
                ]
            )
        ) AS addresses,
        arrayMap(
            number -> multiIf(
                number = '' OR number = 'false', toInt128(0),
                number = 'true', toInt128(1),
                match(number, '^[0-9]{1,20}$|^-[0-9]{1,19}$'), toInt128OrZero(number),
                -- A double, cut to its whole part.
                abs(toFloat64OrZero(number)) < 1e18,
                    toInt128(ifNull(accurateCastOrNull(trunc(toFloat64OrZero(number)), 'Int64'), 0)),
                toInt128(0)
            ),
            [
                attributes['http.response.status_code'],
                attributes['http.response.body.size'],
                attributes['usage.funnel.stage.index'],
                attributes['usage.counter.value']
            ]
        ) AS numbers,
        arrayMap(
            prefix -> mapApply(
                (key, value) -> (substringUTF8(substring(key, length(prefix) + 1), 1, 256), value),
                mapFilter((key, value) -> startsWith(key, prefix), attributes)
            ),
            ['usage.view_argument.', 'usage.property.']
        ) AS prefixed,
        mapFromArrays(arraySlice(mapKeys(prefixed[1]), 1, 32), arraySlice(mapValues(prefixed[1]), 1, 32)) AS view_args,
        mapFromArrays(arraySlice(mapKeys(prefixed[2]), 1, 32), arraySlice(mapValues(prefixed[2]), 1, 32))
            AS own_properties
    FROM
    (
        SELECT
            Timestamp,
            TraceId,
            SpanId,
            ParentSpanId,
            SpanName,
            ServiceName,
            Duration,
            mapApply(
                (key, value) -> (toValidUTF8(key), substringUTF8(toValidUTF8(value), 1, 2048)),
                if(
                    ScopeName = 'otel_usage',
                    SpanAttributes,
                    mapUpdate(
                        mapFilter(
                            (key, value) -> value != '',
                            CAST(
                                map(
                                    'http.request.method', SpanAttributes['http.method'],
                                    'http.response.status_code', SpanAttributes['http.status_code'],
                                    'http.response.body.size', SpanAttributes['http.response_content_length'],
                                    'url.scheme', SpanAttributes['http.scheme'],
                                    'url.path', path(coalesce(
                                        nullIf(SpanAttributes['http.target'], ''), SpanAttributes['http.url']
                                    )),
                                    'url.query', queryString(coalesce(
                                        nullIf(SpanAttributes['http.target'], ''), SpanAttributes['http.url']
                                    )),
                                    'server.address', replaceRegexpOne(
                                        coalesce(
                                            nullIf(SpanAttributes['net.host.name'], ''),
                                            nullIf(SpanAttributes['http.host'], ''),
                                            SpanAttributes['http.server_name']
                                        ),
                                        ':[0-9]+$',
                                        ''
                                    ),
                                    'user_agent.original', SpanAttributes['http.user_agent'],
                                    'client.address', SpanAttributes['http.client_ip'],
                                    'network.peer.address', coalesce(
                                        nullIf(SpanAttributes['net.sock.peer.addr'], ''), SpanAttributes['net.peer.ip']
                                    ),
                                    'user.id', SpanAttributes['enduser.id']
                                ),
                                'Map(LowCardinality(String), String)'
                            )
                        ),
                        mapApply(
                            (key, value) -> (
                                key,
                                multiIf(
                                    startsWith(value, '[') AND endsWith(value, ']') AND isValidJSON(value),
                                        arrayStringConcat(
                                            arrayMap(
                                                part -> if(startsWith(part, '"'), JSONExtractString(part), replaceOne(part, 'null', '')),
                                                arraySlice(JSONExtractArrayRaw(value), 1, 100)
                                            ),
                                            ','
                                        ),
                                    startsWith(value, '{"values":[') AND isValidJSON(value),
                                        arrayStringConcat(
                                            arrayMap(
                                                part -> if(startsWith(part, '"'), JSONExtractString(part), part),
                                                arrayMap(
                                                    part -> JSONExtractKeysAndValuesRaw(part)[1].2,
                                                    arraySlice(JSONExtractArrayRaw(value, 'values'), 1, 100)
                                                )
                                            ),
                                            ','
                                        ),
                                    value
                                )
                            ),
                            SpanAttributes
                        )
                    )
                )
            ) AS attributes
        FROM otel_traces
        WHERE UsageOutcome = 'stored'
    ) AS usage_span
) AS span
