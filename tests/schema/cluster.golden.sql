-- What comes before the first one
CREATE DATABASE IF NOT EXISTS usage ON CLUSTER 'usage_cluster' ENGINE = Atomic;

CREATE TABLE IF NOT EXISTS usage.schema_migrations ON CLUSTER 'usage_cluster'
(
    version         UInt32,
    name            String,
    checksum        String,
    applied_at      DateTime64(9, 'UTC'),
    engine_version  String,
    result          String
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/usage/schema_migrations', '{shard}-{replica}', applied_at)
ORDER BY version
SETTINGS replicated_deduplication_window = 1000, replicated_deduplication_window_seconds = 604800;

-- 0001_create_events
CREATE TABLE IF NOT EXISTS usage.events_local ON CLUSTER 'usage_cluster'
(
    timestamp              DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(3)),
    event_name             LowCardinality(String) CODEC(ZSTD(3)),
    service_name           LowCardinality(String) CODEC(ZSTD(3)),
    trace_id_bytes         FixedString(16) CODEC(NONE),
    span_id_bytes          FixedString(8) CODEC(NONE),
    parent_span_id_bytes   FixedString(8) CODEC(ZSTD(3)),
    visit_key_bytes        FixedString(16) CODEC(ZSTD(3)),
    visit_is_new           UInt8 CODEC(ZSTD(3)),
    visitor_id_bytes       FixedString(16) CODEC(ZSTD(3)),
    user_id                String CODEC(ZSTD(3)),
    client_address         IPv6 CODEC(ZSTD(3)),
    client_address_hash    String CODEC(ZSTD(3)),
    peer_address           IPv6 CODEC(ZSTD(3)),
    forwarded_for          String CODEC(ZSTD(3)),
    has_authorization      UInt8 CODEC(ZSTD(3)),
    country                LowCardinality(String) CODEC(ZSTD(3)),
    language               LowCardinality(String) CODEC(ZSTD(3)),
    user_agent             LowCardinality(String) CODEC(ZSTD(3)),
    browser                LowCardinality(String) CODEC(ZSTD(3)),
    browser_version        LowCardinality(String) CODEC(ZSTD(3)),
    os                     LowCardinality(String) CODEC(ZSTD(3)),
    os_version             LowCardinality(String) CODEC(ZSTD(3)),
    device_type            LowCardinality(String) CODEC(ZSTD(3)),
    is_bot                 UInt8 CODEC(ZSTD(3)),
    bot_name               LowCardinality(String) CODEC(ZSTD(3)),
    method                 LowCardinality(String) CODEC(ZSTD(3)),
    scheme                 LowCardinality(String) CODEC(ZSTD(3)),
    host                   LowCardinality(String) CODEC(ZSTD(3)),
    path                   String CODEC(ZSTD(3)),
    query                  String CODEC(ZSTD(3)),
    route                  LowCardinality(String) CODEC(ZSTD(3)),
    endpoint               LowCardinality(String) CODEC(ZSTD(3)),
    blueprint              LowCardinality(String) CODEC(ZSTD(3)),
    view_args              Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    status_code            UInt16 CODEC(ZSTD(3)),
    duration_ns            UInt64 CODEC(T64, ZSTD(3)),
    bytes_sent             Nullable(UInt64) CODEC(ZSTD(3)),
    referrer               String CODEC(ZSTD(3)),
    referrer_domain        LowCardinality(String) CODEC(ZSTD(3)),
    campaign_source        LowCardinality(String) CODEC(ZSTD(3)),
    campaign_medium        LowCardinality(String) CODEC(ZSTD(3)),
    campaign_name          LowCardinality(String) CODEC(ZSTD(3)),
    campaign_term          LowCardinality(String) CODEC(ZSTD(3)),
    campaign_content       LowCardinality(String) CODEC(ZSTD(3)),
    object_type            LowCardinality(String) CODEC(ZSTD(3)),
    object_id              String CODEC(ZSTD(3)),
    funnel                 LowCardinality(String) CODEC(ZSTD(3)),
    stage                  LowCardinality(String) CODEC(ZSTD(3)),
    stage_index            UInt8 CODEC(ZSTD(3)),
    counter_name           LowCardinality(String) CODEC(ZSTD(3)),
    counter_value          Int64 CODEC(ZSTD(3)),
    properties             Map(LowCardinality(String), String) CODEC(ZSTD(3)),

    event_id               String ALIAS concat(lower(hex(trace_id_bytes)), lower(hex(span_id_bytes))),
    trace_id               String ALIAS lower(hex(trace_id_bytes)),
    span_id                String ALIAS lower(hex(span_id_bytes)),
    parent_span_id         String ALIAS lower(hex(parent_span_id_bytes)),
    visit_key              String ALIAS repeat(lower(hex(visit_key_bytes)), notEmpty(visit_key_bytes)),
    visitor_id             String ALIAS repeat(lower(hex(visitor_id_bytes)), notEmpty(visitor_id_bytes)),

    INDEX trace_id_bloom lower(hex(trace_id_bytes)) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX visit_key_bloom repeat(lower(hex(visit_key_bytes)), notEmpty(visit_key_bytes)) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX user_id_bloom user_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX client_address_bloom client_address TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/usage/events_local', '{replica}')
PARTITION BY toYYYYMM(timestamp)
ORDER BY (service_name, timestamp)

SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, merge_with_ttl_timeout = 86400;

CREATE TABLE IF NOT EXISTS usage.events ON CLUSTER 'usage_cluster' AS usage.events_local
ENGINE = Distributed('usage_cluster', 'usage', 'events_local', cityHash64(if(notEmpty(visit_key_bytes), visit_key_bytes, trace_id_bytes)));

-- 0002_create_rejected_events
CREATE TABLE IF NOT EXISTS usage.rejected_events_local ON CLUSTER 'usage_cluster'
(
    timestamp  DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(3)),
    reason     LowCardinality(String) CODEC(ZSTD(3)),
    event_id   String CODEC(ZSTD(3)),
    body       String CODEC(ZSTD(3))
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/usage/rejected_events_local', '{replica}')
PARTITION BY toYYYYMM(timestamp)
ORDER BY (timestamp, event_id)
TTL toDateTime(timestamp) + INTERVAL 90 DAY
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS usage.rejected_events ON CLUSTER 'usage_cluster' AS usage.rejected_events_local
ENGINE = Distributed('usage_cluster', 'usage', 'rejected_events_local', cityHash64(timestamp, event_id));

-- 0003_create_browsers_daily_state
CREATE TABLE IF NOT EXISTS usage.browsers_daily_state_local ON CLUSTER 'usage_cluster'
(
    service_name  LowCardinality(String) CODEC(ZSTD(3)),
    day           Date CODEC(ZSTD(3)),
    browser       LowCardinality(String) CODEC(ZSTD(3)),
    os            LowCardinality(String) CODEC(ZSTD(3)),
    device_type   LowCardinality(String) CODEC(ZSTD(3)),
    is_bot        UInt8 CODEC(ZSTD(3)),
    requests      SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(3)),
    visits        SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(3)),
    visitors      AggregateFunction(uniqCombined64(14), FixedString(16)) CODEC(ZSTD(3))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/usage/browsers_daily_state_local', '{replica}')
PARTITION BY toYYYYMM(day)
ORDER BY (service_name, day, browser, os, device_type, is_bot)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS usage.browsers_daily_state ON CLUSTER 'usage_cluster' AS usage.browsers_daily_state_local
ENGINE = Distributed('usage_cluster', 'usage', 'browsers_daily_state_local', cityHash64(service_name, day, browser, os, device_type, is_bot) + ignore(rand()));

-- 0004_create_browsers_daily_mv
CREATE MATERIALIZED VIEW IF NOT EXISTS usage.browsers_daily_mv ON CLUSTER 'usage_cluster' TO usage.browsers_daily_state_local
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    events.service_name                                                                         AS service_name,
    toDate(events.timestamp)                                                                    AS day,
    events.browser                                                                              AS browser,
    events.os                                                                                   AS os,
    events.device_type                                                                          AS device_type,
    events.is_bot                                                                               AS is_bot,
    countIf(events.event_name = 'request')                                                      AS requests,
    sum(events.visit_is_new)                                                                    AS visits,
    uniqCombined64StateIf(14)(events.visitor_id_bytes, events.visitor_id_bytes != toFixedString('', 16)) AS visitors
FROM usage.events_local AS events
WHERE events.event_name IN ('request', 'activity')
GROUP BY
    service_name,
    day,
    browser,
    os,
    device_type,
    is_bot;

-- 0005_create_browsers_daily
CREATE VIEW IF NOT EXISTS usage.browsers_daily ON CLUSTER 'usage_cluster' AS
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
FROM usage.browsers_daily_state AS state
GROUP BY
    day,
    service_name,
    browser,
    os,
    device_type,
    is_bot;

-- 0006_create_ips_daily_state
CREATE TABLE IF NOT EXISTS usage.ips_daily_state_local ON CLUSTER 'usage_cluster'
(
    service_name    LowCardinality(String) CODEC(ZSTD(3)),
    day             Date CODEC(ZSTD(3)),
    client_address  IPv6 CODEC(ZSTD(3)),
    is_bot          UInt8 CODEC(ZSTD(3)),
    country         SimpleAggregateFunction(max, LowCardinality(String)) CODEC(ZSTD(3)),
    requests        SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(3)),
    visits          SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(3)),
    first_seen      SimpleAggregateFunction(min, DateTime64(9, 'UTC')) CODEC(ZSTD(3)),
    last_seen       SimpleAggregateFunction(max, DateTime64(9, 'UTC')) CODEC(ZSTD(3))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/usage/ips_daily_state_local', '{replica}')
PARTITION BY toYYYYMM(day)
ORDER BY (service_name, day, client_address, is_bot)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS usage.ips_daily_state ON CLUSTER 'usage_cluster' AS usage.ips_daily_state_local
ENGINE = Distributed('usage_cluster', 'usage', 'ips_daily_state_local', cityHash64(service_name, day, client_address, is_bot) + ignore(rand()));

-- 0007_create_ips_daily_mv
CREATE MATERIALIZED VIEW IF NOT EXISTS usage.ips_daily_mv ON CLUSTER 'usage_cluster' TO usage.ips_daily_state_local
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    events.service_name                    AS service_name,
    toDate(events.timestamp)               AS day,
    events.client_address                  AS client_address,
    events.is_bot                          AS is_bot,
    max(events.country)                    AS country,
    countIf(events.event_name = 'request') AS requests,
    sum(events.visit_is_new)               AS visits,
    min(events.timestamp)                  AS first_seen,
    max(events.timestamp)                  AS last_seen
FROM usage.events_local AS events
WHERE events.event_name IN ('request', 'activity')
GROUP BY
    service_name,
    day,
    client_address,
    is_bot;

-- 0008_create_ips_daily
CREATE VIEW IF NOT EXISTS usage.ips_daily ON CLUSTER 'usage_cluster' AS
SELECT
    state.day             AS day,
    state.service_name    AS service_name,
    state.client_address  AS client_address,
    max(state.country)    AS country,
    state.is_bot          AS is_bot,
    sum(state.requests)   AS requests,
    sum(state.visits)     AS visits,
    min(state.first_seen) AS first_seen,
    max(state.last_seen)  AS last_seen
FROM usage.ips_daily_state AS state
GROUP BY
    day,
    service_name,
    client_address,
    is_bot;

-- 0009_create_pages_daily_state
CREATE TABLE IF NOT EXISTS usage.pages_daily_state_local ON CLUSTER 'usage_cluster'
(
    service_name  LowCardinality(String) CODEC(ZSTD(3)),
    day           Date CODEC(ZSTD(3)),
    route         LowCardinality(String) CODEC(ZSTD(3)),
    path          String CODEC(ZSTD(3)),
    is_bot        UInt8 CODEC(ZSTD(3)),
    requests      SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(3)),
    visits        AggregateFunction(uniqCombined64(14), FixedString(16)) CODEC(ZSTD(3)),
    errors        SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(3)),
    durations     AggregateFunction(quantilesDD(0.01, 0.5, 0.95), UInt64) CODEC(ZSTD(3))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/usage/pages_daily_state_local', '{replica}')
PARTITION BY toYYYYMM(day)
ORDER BY (service_name, day, route, path, is_bot)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS usage.pages_daily_state ON CLUSTER 'usage_cluster' AS usage.pages_daily_state_local
ENGINE = Distributed('usage_cluster', 'usage', 'pages_daily_state_local', cityHash64(service_name, day, route, path, is_bot) + ignore(rand()));

-- 0010_create_pages_daily_mv
CREATE MATERIALIZED VIEW IF NOT EXISTS usage.pages_daily_mv ON CLUSTER 'usage_cluster' TO usage.pages_daily_state_local
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    events.service_name                                                                        AS service_name,
    toDate(events.timestamp)                                                                   AS day,
    events.route                                                                               AS route,
    if(events.status_code = 404, '', events.path)                                              AS path,
    events.is_bot                                                                              AS is_bot,
    count()                                                                                    AS requests,
    uniqCombined64StateIf(14)(events.visit_key_bytes, events.visit_key_bytes != toFixedString('', 16)) AS visits,
    countIf(events.status_code >= 500)                                                         AS errors,
    quantilesDDState(0.01, 0.5, 0.95)(events.duration_ns)                                      AS durations
FROM usage.events_local AS events
WHERE events.event_name = 'request'
GROUP BY
    service_name,
    day,
    route,
    if(events.status_code = 404, '', events.path),
    is_bot;

-- 0011_create_pages_daily
CREATE VIEW IF NOT EXISTS usage.pages_daily ON CLUSTER 'usage_cluster' AS
SELECT
    day,
    service_name,
    path,
    route,
    is_bot,
    requests,
    visits,
    errors,
    toUInt64(durations[1]) AS duration_p50_ns,
    toUInt64(durations[2]) AS duration_p95_ns
FROM
(
    SELECT
        state.day                                         AS day,
        state.service_name                                AS service_name,
        state.path                                        AS path,
        state.route                                       AS route,
        state.is_bot                                      AS is_bot,
        sum(state.requests)                               AS requests,
        uniqCombined64Merge(14)(state.visits)             AS visits,
        sum(state.errors)                                 AS errors,
        quantilesDDMerge(0.01, 0.5, 0.95)(state.durations) AS durations
    FROM usage.pages_daily_state AS state
    GROUP BY
        day,
        service_name,
        path,
        route,
        is_bot
);

-- 0012_create_objects_daily_state
CREATE TABLE IF NOT EXISTS usage.objects_daily_state_local ON CLUSTER 'usage_cluster'
(
    service_name  LowCardinality(String) CODEC(ZSTD(3)),
    day           Date CODEC(ZSTD(3)),
    object_type   LowCardinality(String) CODEC(ZSTD(3)),
    object_id     String CODEC(ZSTD(3)),
    is_bot        UInt8 CODEC(ZSTD(3)),
    views         SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(3)),
    visits        AggregateFunction(uniqCombined64(14), FixedString(16)) CODEC(ZSTD(3)),
    users         AggregateFunction(uniqCombined64(14), String) CODEC(ZSTD(3))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/usage/objects_daily_state_local', '{replica}')
PARTITION BY toYYYYMM(day)
ORDER BY (service_name, day, object_type, object_id, is_bot)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS usage.objects_daily_state ON CLUSTER 'usage_cluster' AS usage.objects_daily_state_local
ENGINE = Distributed('usage_cluster', 'usage', 'objects_daily_state_local', cityHash64(service_name, day, object_type, object_id, is_bot) + ignore(rand()));

-- 0013_create_objects_daily_mv
CREATE MATERIALIZED VIEW IF NOT EXISTS usage.objects_daily_mv ON CLUSTER 'usage_cluster' TO usage.objects_daily_state_local
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    events.service_name                                                                        AS service_name,
    toDate(events.timestamp)                                                                   AS day,
    events.object_type                                                                         AS object_type,
    events.object_id                                                                           AS object_id,
    events.is_bot                                                                              AS is_bot,
    count()                                                                                    AS views,
    uniqCombined64StateIf(14)(events.visit_key_bytes, events.visit_key_bytes != toFixedString('', 16)) AS visits,
    uniqCombined64StateIf(14)(events.user_id, events.user_id != '')                            AS users
FROM usage.events_local AS events
WHERE events.event_name = 'object_viewed'
GROUP BY
    service_name,
    day,
    object_type,
    object_id,
    is_bot;

-- 0014_create_objects_daily
CREATE VIEW IF NOT EXISTS usage.objects_daily ON CLUSTER 'usage_cluster' AS
SELECT
    state.day                             AS day,
    state.service_name                    AS service_name,
    state.object_type                     AS object_type,
    state.object_id                       AS object_id,
    state.is_bot                          AS is_bot,
    sum(state.views)                      AS views,
    uniqCombined64Merge(14)(state.visits) AS visits,
    uniqCombined64Merge(14)(state.users)  AS users
FROM usage.objects_daily_state AS state
GROUP BY
    day,
    service_name,
    object_type,
    object_id,
    is_bot;

-- 0015_create_counters_daily_state
CREATE TABLE IF NOT EXISTS usage.counters_daily_state_local ON CLUSTER 'usage_cluster'
(
    service_name  LowCardinality(String) CODEC(ZSTD(3)),
    day           Date CODEC(ZSTD(3)),
    object_type   LowCardinality(String) CODEC(ZSTD(3)),
    object_id     String CODEC(ZSTD(3)),
    counter_name  LowCardinality(String) CODEC(ZSTD(3)),
    is_bot        UInt8 CODEC(ZSTD(3)),
    value         SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(3))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/usage/counters_daily_state_local', '{replica}')
PARTITION BY toYYYYMM(day)
ORDER BY (service_name, day, object_type, object_id, counter_name, is_bot)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS usage.counters_daily_state ON CLUSTER 'usage_cluster' AS usage.counters_daily_state_local
ENGINE = Distributed('usage_cluster', 'usage', 'counters_daily_state_local', cityHash64(service_name, day, object_type, object_id, counter_name, is_bot) + ignore(rand()));

-- 0016_create_counters_daily_mv
CREATE MATERIALIZED VIEW IF NOT EXISTS usage.counters_daily_mv ON CLUSTER 'usage_cluster' TO usage.counters_daily_state_local
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    events.service_name       AS service_name,
    toDate(events.timestamp)  AS day,
    events.object_type        AS object_type,
    events.object_id          AS object_id,
    events.counter_name       AS counter_name,
    events.is_bot             AS is_bot,
    sum(events.counter_value) AS value
FROM usage.events_local AS events
WHERE events.event_name = 'counter'
GROUP BY
    service_name,
    day,
    object_type,
    object_id,
    counter_name,
    is_bot;

-- 0017_create_counters_daily
CREATE VIEW IF NOT EXISTS usage.counters_daily ON CLUSTER 'usage_cluster' AS
SELECT
    state.day          AS day,
    state.service_name AS service_name,
    state.object_type  AS object_type,
    state.object_id    AS object_id,
    state.counter_name AS counter_name,
    state.is_bot       AS is_bot,
    sum(state.value)   AS value
FROM usage.counters_daily_state AS state
GROUP BY
    day,
    service_name,
    object_type,
    object_id,
    counter_name,
    is_bot;

-- 0018_create_visits_state
CREATE TABLE IF NOT EXISTS usage.visits_state_local ON CLUSTER 'usage_cluster'
(
    service_name      LowCardinality(String) CODEC(ZSTD(3)),
    day               Date CODEC(ZSTD(3)),
    visit_key_bytes   FixedString(16) CODEC(ZSTD(3)),
    visitor_id_bytes  SimpleAggregateFunction(max, FixedString(16)) CODEC(ZSTD(3)),
    requests          SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(3)),
    confirmed         SimpleAggregateFunction(max, UInt8) CODEC(ZSTD(3)),
    is_bot            SimpleAggregateFunction(max, UInt8) CODEC(ZSTD(3)),
    
    first_request     SimpleAggregateFunction(
        min, Tuple(DateTime64(9, 'UTC'), String, IPv6, String, String, String, String, String, String)
    ) CODEC(ZSTD(3)),
    
    last_request      SimpleAggregateFunction(max, Tuple(DateTime64(9, 'UTC'), String)) CODEC(ZSTD(3)),
    
    last_user         SimpleAggregateFunction(max, Tuple(DateTime64(9, 'UTC'), String)) CODEC(ZSTD(3))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/usage/visits_state_local', '{replica}')
PARTITION BY toYYYYMM(day)
ORDER BY (service_name, day, visit_key_bytes)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS usage.visits_state ON CLUSTER 'usage_cluster' AS usage.visits_state_local
ENGINE = Distributed('usage_cluster', 'usage', 'visits_state_local', cityHash64(visit_key_bytes));

-- 0019_create_visits_mv
CREATE MATERIALIZED VIEW IF NOT EXISTS usage.visits_mv ON CLUSTER 'usage_cluster' TO usage.visits_state_local
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    events.service_name                    AS service_name,
    toDate(events.timestamp)               AS day,
    events.visit_key_bytes                 AS visit_key_bytes,
    max(events.visitor_id_bytes)           AS visitor_id_bytes,
    countIf(events.event_name = 'request') AS requests,
    max(events.visit_is_new = 0)           AS confirmed,
    max(events.is_bot)                     AS is_bot,
    min((
        events.timestamp,
        events.path,
        events.client_address,
        events.browser,
        events.os,
        events.device_type,
        events.country,
        events.referrer_domain,
        events.campaign_source
    ))                                     AS first_request,
    max((events.timestamp, events.path))   AS last_request,
    max((if(events.user_id = '', toDateTime64(0, 9, 'UTC'), events.timestamp), events.user_id)) AS last_user
FROM usage.events_local AS events
WHERE events.event_name IN ('request', 'activity') AND events.visit_key_bytes != toFixedString('', 16)
GROUP BY
    service_name,
    day,
    visit_key_bytes;

-- 0020_create_visits
CREATE VIEW IF NOT EXISTS usage.visits ON CLUSTER 'usage_cluster' AS
SELECT
    lower(hex(visit_key_bytes))                                      AS visit_key,
    service_name,
    tupleElement(first_request, 1)                                   AS started,
    tupleElement(last_request, 1)                                    AS last_seen,
    requests,
    tupleElement(last_user, 2)                                       AS user_id,
    tupleElement(first_request, 3)                                   AS client_address,
    tupleElement(first_request, 4)                                   AS browser,
    tupleElement(first_request, 5)                                   AS os,
    tupleElement(first_request, 6)                                   AS device_type,
    tupleElement(first_request, 7)                                   AS country,
    is_bot,
    tupleElement(first_request, 2)                                   AS entry_path,
    tupleElement(last_request, 2)                                    AS exit_path,
    tupleElement(first_request, 8)                                   AS referrer_domain,
    tupleElement(first_request, 9)                                   AS campaign_source,
    confirmed,
    repeat(lower(hex(visitor_id_bytes)), notEmpty(visitor_id_bytes)) AS visitor_id
FROM
(
    SELECT
        state.service_name          AS service_name,
        state.visit_key_bytes       AS visit_key_bytes,
        max(state.visitor_id_bytes) AS visitor_id_bytes,
        sum(state.requests)         AS requests,
        max(state.confirmed)        AS confirmed,
        max(state.is_bot)           AS is_bot,
        min(state.first_request)    AS first_request,
        max(state.last_request)     AS last_request,
        max(state.last_user)        AS last_user
    FROM usage.visits_state AS state
    GROUP BY
        service_name,
        visit_key_bytes
);

-- 0021_create_funnel_stages_state
CREATE TABLE IF NOT EXISTS usage.funnel_stages_state_local ON CLUSTER 'usage_cluster'
(
    service_name     LowCardinality(String) CODEC(ZSTD(3)),
    day              Date CODEC(ZSTD(3)),
    funnel           LowCardinality(String) CODEC(ZSTD(3)),
    stage_index      UInt8 CODEC(ZSTD(3)),
    stage            LowCardinality(String) CODEC(ZSTD(3)),
    visit_key_bytes  FixedString(16) CODEC(ZSTD(3)),
    reached_at       SimpleAggregateFunction(min, DateTime64(9, 'UTC')) CODEC(ZSTD(3)),
    last_user        SimpleAggregateFunction(max, Tuple(DateTime64(9, 'UTC'), String)) CODEC(ZSTD(3)),
    is_bot           SimpleAggregateFunction(max, UInt8) CODEC(ZSTD(3))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/usage/funnel_stages_state_local', '{replica}')
PARTITION BY toYYYYMM(day)
ORDER BY (service_name, day, funnel, stage_index, stage, visit_key_bytes)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS usage.funnel_stages_state ON CLUSTER 'usage_cluster' AS usage.funnel_stages_state_local
ENGINE = Distributed('usage_cluster', 'usage', 'funnel_stages_state_local', cityHash64(visit_key_bytes));

-- 0022_create_funnel_stages_mv
CREATE MATERIALIZED VIEW IF NOT EXISTS usage.funnel_stages_mv ON CLUSTER 'usage_cluster' TO usage.funnel_stages_state_local
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    events.service_name      AS service_name,
    toDate(events.timestamp) AS day,
    events.funnel            AS funnel,
    events.stage_index       AS stage_index,
    events.stage             AS stage,
    events.visit_key_bytes   AS visit_key_bytes,
    min(events.timestamp)    AS reached_at,
    max((if(events.user_id = '', toDateTime64(0, 9, 'UTC'), events.timestamp), events.user_id)) AS last_user,
    max(events.is_bot)       AS is_bot
FROM usage.events_local AS events
WHERE events.event_name = 'stage_reached' AND events.visit_key_bytes != toFixedString('', 16)
GROUP BY
    service_name,
    day,
    funnel,
    stage_index,
    stage,
    visit_key_bytes;

-- 0023_create_funnel_stages
CREATE VIEW IF NOT EXISTS usage.funnel_stages ON CLUSTER 'usage_cluster' AS
SELECT
    state.funnel                       AS funnel,
    state.stage                        AS stage,
    state.stage_index                  AS stage_index,
    state.service_name                 AS service_name,
    lower(hex(state.visit_key_bytes))  AS visit_key,
    tupleElement(max(state.last_user), 2) AS user_id,
    min(state.reached_at)              AS reached_at,
    max(state.is_bot)                  AS is_bot
FROM usage.funnel_stages_state AS state
GROUP BY
    funnel,
    stage,
    stage_index,
    service_name,
    visit_key;

-- 0024_create_funnel_visits
CREATE VIEW IF NOT EXISTS usage.funnel_visits ON CLUSTER 'usage_cluster' AS
SELECT
    service_name,
    funnel,
    lower(hex(visit_key_bytes))                           AS visit_key,
    toDate(fromUnixTimestamp64Nano(stages[1].2, 'UTC'))   AS entry_day,
    
    
    toUInt8(arrayFirstIndex(
        (reached, before, place) -> reached.1 != place OR reached.2 < before.2,
        arrayPushBack(stages, (toUInt8(0), toInt64(0))),
        arrayPushFront(stages, stages[1]),
        range(1, length(stages) + 2)
    ) - 1)                                                AS level,
    stages,
    is_bot
FROM
(
    SELECT
        service_name,
        funnel,
        visit_key_bytes,
        
        arrayFilter(
            (reached, before) -> reached.1 != before.1,
            all_stages,
            arrayPushFront(arrayPopBack(all_stages), (toUInt8(0), toInt64(0)))
        ) AS stages,
        is_bot
    FROM
    (
        SELECT
            state.service_name    AS service_name,
            state.funnel          AS funnel,
            state.visit_key_bytes AS visit_key_bytes,
            
            arraySort(arrayZip(
                groupArray(state.stage_index),
                groupArray(toUnixTimestamp64Nano(state.reached_at))
            ))                    AS all_stages,
            max(state.is_bot)     AS is_bot
        FROM usage.funnel_stages_state AS state
        WHERE state.stage_index > 0
        GROUP BY
            service_name,
            funnel,
            visit_key_bytes
    )
);

-- 0025_create_conversions_daily
CREATE VIEW IF NOT EXISTS usage.conversions_daily ON CLUSTER 'usage_cluster' AS
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
    FROM usage.funnel_visits AS funnel_visits
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
        FROM usage.funnel_stages_state AS state
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
) AS names ON names.service_name = passed.service_name AND names.funnel = passed.funnel AND names.stage_index = passed.stage_index;

-- 0026_create_imports
CREATE TABLE IF NOT EXISTS usage.imports ON CLUSTER 'usage_cluster'
(
    batch         String CODEC(ZSTD(3)),
    attempt       UInt32 CODEC(ZSTD(3)),
    is_stored     UInt8 CODEC(ZSTD(3)),
    service_name  LowCardinality(String) CODEC(ZSTD(3)),
    days          Array(Date) CODEC(ZSTD(3)),
    events        UInt64 CODEC(ZSTD(3)),
    block         UInt64 CODEC(ZSTD(3)),
    at            DateTime64(9, 'UTC') CODEC(ZSTD(3))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/usage/imports', '{shard}-{replica}', is_stored)
ORDER BY (batch, attempt)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

-- 0027_create_summaries_state
CREATE TABLE IF NOT EXISTS usage.summaries_state_local ON CLUSTER 'usage_cluster'
(
    service_name  LowCardinality(String) CODEC(ZSTD(3)),
    day           Date CODEC(ZSTD(3)),
    kind          LowCardinality(String) CODEC(ZSTD(3)),
    key           String CODEC(ZSTD(3)),
    is_bot        UInt8 CODEC(ZSTD(3)),
    hour_of_day   UInt8 CODEC(ZSTD(3)),
    hits          SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(3)),
    transfer      SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(3)),
    visits        SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(3)),
    errors        SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(3)),
    visitors      AggregateFunction(uniqCombined64(14), FixedString(16)) CODEC(ZSTD(3))
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/usage/summaries_state_local', '{replica}')
PARTITION BY toYYYYMM(day)
ORDER BY (service_name, day, kind, key, is_bot, hour_of_day)

SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, merge_with_ttl_timeout = 86400;

CREATE TABLE IF NOT EXISTS usage.summaries_state ON CLUSTER 'usage_cluster' AS usage.summaries_state_local
ENGINE = Distributed('usage_cluster', 'usage', 'summaries_state_local', cityHash64(service_name, day, kind, key, is_bot, hour_of_day) + ignore(rand()));

-- 0028_create_summaries_mv
CREATE MATERIALIZED VIEW IF NOT EXISTS usage.summaries_mv ON CLUSTER 'usage_cluster' TO usage.summaries_state_local
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
FROM usage.events_local AS events
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
    hour_of_day;

-- 0029_create_summaries_hourly
CREATE VIEW IF NOT EXISTS usage.summaries_hourly ON CLUSTER 'usage_cluster' AS
SELECT
    state.day                                                          AS day,
    toDateTime(state.day, 'UTC') + toIntervalHour(state.hour_of_day)   AS hour,
    state.service_name                                                 AS service_name,
    state.kind                                                         AS kind,
    state.key                                                          AS key,
    state.is_bot                                                       AS is_bot,
    sum(state.hits)                                                    AS hits,
    sum(state.transfer)                                                AS transfer,
    sum(state.visits)                                                  AS visits,
    sum(state.errors)                                                  AS errors,
    if(kind = 'server', uniqCombined64Merge(14)(state.visitors), NULL) AS visitors
FROM usage.summaries_state AS state
GROUP BY
    day,
    hour,
    service_name,
    kind,
    key,
    is_bot;

-- 0030_create_summaries_daily
CREATE VIEW IF NOT EXISTS usage.summaries_daily ON CLUSTER 'usage_cluster' AS
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
FROM usage.summaries_state AS state
GROUP BY
    day,
    service_name,
    kind,
    key,
    is_bot;

-- 0031_create_summaries_monthly
CREATE VIEW IF NOT EXISTS usage.summaries_monthly ON CLUSTER 'usage_cluster' AS
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
FROM usage.summaries_state AS state
GROUP BY
    month,
    service_name,
    kind,
    key,
    is_bot;

-- 0032_create_flask_usage_url
CREATE VIEW IF NOT EXISTS usage.flask_usage_url_hourly ON CLUSTER 'usage_cluster' AS
SELECT
    toDateTime(state.day, 'UTC') + toIntervalHour(state.hour_of_day) AS date,
    state.key                                                        AS url,
    sum(state.hits)                                                  AS hits,
    sum(state.transfer)                                              AS transfer
FROM usage.summaries_state AS state
WHERE state.kind = 'url'
GROUP BY
    date,
    url;

CREATE VIEW IF NOT EXISTS usage.flask_usage_url_daily ON CLUSTER 'usage_cluster' AS
SELECT
    state.day           AS date,
    state.key           AS url,
    sum(state.hits)     AS hits,
    sum(state.transfer) AS transfer
FROM usage.summaries_state AS state
WHERE state.kind = 'url'
GROUP BY
    date,
    url;

CREATE VIEW IF NOT EXISTS usage.flask_usage_url_monthly ON CLUSTER 'usage_cluster' AS
SELECT
    toStartOfMonth(state.day) AS date,
    state.key                 AS url,
    sum(state.hits)           AS hits,
    sum(state.transfer)       AS transfer
FROM usage.summaries_state AS state
WHERE state.kind = 'url'
GROUP BY
    date,
    url;

-- 0033_create_flask_usage_remote
CREATE VIEW IF NOT EXISTS usage.flask_usage_remote_hourly ON CLUSTER 'usage_cluster' AS
SELECT
    toDateTime(state.day, 'UTC') + toIntervalHour(state.hour_of_day) AS date,
    state.key                                                        AS remote,
    sum(state.hits)                                                  AS hits,
    sum(state.transfer)                                              AS transfer
FROM usage.summaries_state AS state
WHERE state.kind = 'remote'
GROUP BY
    date,
    remote;

CREATE VIEW IF NOT EXISTS usage.flask_usage_remote_daily ON CLUSTER 'usage_cluster' AS
SELECT
    state.day           AS date,
    state.key           AS remote,
    sum(state.hits)     AS hits,
    sum(state.transfer) AS transfer
FROM usage.summaries_state AS state
WHERE state.kind = 'remote'
GROUP BY
    date,
    remote;

CREATE VIEW IF NOT EXISTS usage.flask_usage_remote_monthly ON CLUSTER 'usage_cluster' AS
SELECT
    toStartOfMonth(state.day) AS date,
    state.key                 AS remote,
    sum(state.hits)           AS hits,
    sum(state.transfer)       AS transfer
FROM usage.summaries_state AS state
WHERE state.kind = 'remote'
GROUP BY
    date,
    remote;

-- 0034_create_flask_usage_useragent
CREATE VIEW IF NOT EXISTS usage.flask_usage_useragent_hourly ON CLUSTER 'usage_cluster' AS
SELECT
    toDateTime(state.day, 'UTC') + toIntervalHour(state.hour_of_day) AS date,
    state.key                                                        AS useragent,
    sum(state.hits)                                                  AS hits,
    sum(state.transfer)                                              AS transfer
FROM usage.summaries_state AS state
WHERE state.kind = 'useragent'
GROUP BY
    date,
    useragent;

CREATE VIEW IF NOT EXISTS usage.flask_usage_useragent_daily ON CLUSTER 'usage_cluster' AS
SELECT
    state.day           AS date,
    state.key           AS useragent,
    sum(state.hits)     AS hits,
    sum(state.transfer) AS transfer
FROM usage.summaries_state AS state
WHERE state.kind = 'useragent'
GROUP BY
    date,
    useragent;

CREATE VIEW IF NOT EXISTS usage.flask_usage_useragent_monthly ON CLUSTER 'usage_cluster' AS
SELECT
    toStartOfMonth(state.day) AS date,
    state.key                 AS useragent,
    sum(state.hits)           AS hits,
    sum(state.transfer)       AS transfer
FROM usage.summaries_state AS state
WHERE state.kind = 'useragent'
GROUP BY
    date,
    useragent;

-- 0035_create_flask_usage_language
CREATE VIEW IF NOT EXISTS usage.flask_usage_language_hourly ON CLUSTER 'usage_cluster' AS
SELECT
    toDateTime(state.day, 'UTC') + toIntervalHour(state.hour_of_day) AS date,
    state.key                                                        AS language,
    sum(state.hits)                                                  AS hits,
    sum(state.transfer)                                              AS transfer
FROM usage.summaries_state AS state
WHERE state.kind = 'language'
GROUP BY
    date,
    language;

CREATE VIEW IF NOT EXISTS usage.flask_usage_language_daily ON CLUSTER 'usage_cluster' AS
SELECT
    state.day           AS date,
    state.key           AS language,
    sum(state.hits)     AS hits,
    sum(state.transfer) AS transfer
FROM usage.summaries_state AS state
WHERE state.kind = 'language'
GROUP BY
    date,
    language;

CREATE VIEW IF NOT EXISTS usage.flask_usage_language_monthly ON CLUSTER 'usage_cluster' AS
SELECT
    toStartOfMonth(state.day) AS date,
    state.key                 AS language,
    sum(state.hits)           AS hits,
    sum(state.transfer)       AS transfer
FROM usage.summaries_state AS state
WHERE state.kind = 'language'
GROUP BY
    date,
    language;

-- 0036_create_flask_usage_server
CREATE VIEW IF NOT EXISTS usage.flask_usage_server_hourly ON CLUSTER 'usage_cluster' AS
SELECT
    toDateTime(state.day, 'UTC') + toIntervalHour(state.hour_of_day) AS date,
    state.key                                                        AS server,
    sum(state.hits)                                                  AS hits,
    sum(state.transfer)                                              AS transfer
FROM usage.summaries_state AS state
WHERE state.kind = 'server'
GROUP BY
    date,
    server
HAVING hits + transfer > 0;

CREATE VIEW IF NOT EXISTS usage.flask_usage_server_daily ON CLUSTER 'usage_cluster' AS
SELECT
    state.day           AS date,
    state.key           AS server,
    sum(state.hits)     AS hits,
    sum(state.transfer) AS transfer
FROM usage.summaries_state AS state
WHERE state.kind = 'server'
GROUP BY
    date,
    server
HAVING hits + transfer > 0;

CREATE VIEW IF NOT EXISTS usage.flask_usage_server_monthly ON CLUSTER 'usage_cluster' AS
SELECT
    toStartOfMonth(state.day) AS date,
    state.key                 AS server,
    sum(state.hits)           AS hits,
    sum(state.transfer)       AS transfer
FROM usage.summaries_state AS state
WHERE state.kind = 'server'
GROUP BY
    date,
    server
HAVING hits + transfer > 0;

-- 0037_add_region_and_city
ALTER TABLE usage.events_local ON CLUSTER 'usage_cluster'
    ADD COLUMN IF NOT EXISTS region LowCardinality(String) CODEC(ZSTD(3)) AFTER country,
    ADD COLUMN IF NOT EXISTS city LowCardinality(String) CODEC(ZSTD(3)) AFTER region;

ALTER TABLE usage.events ON CLUSTER 'usage_cluster'
    ADD COLUMN IF NOT EXISTS region LowCardinality(String) CODEC(ZSTD(3)) AFTER country,
    ADD COLUMN IF NOT EXISTS city LowCardinality(String) CODEC(ZSTD(3)) AFTER region;

-- 0038_create_otel_traces
CREATE TABLE IF NOT EXISTS usage.otel_traces_local ON CLUSTER 'usage_cluster'
(
    Timestamp            DateTime64(9) CODEC(Delta(8), ZSTD(3)),
    TraceId              String CODEC(ZSTD(3)),
    SpanId               String CODEC(ZSTD(3)),
    ParentSpanId         String CODEC(ZSTD(3)),
    TraceState           String CODEC(ZSTD(3)),
    SpanName             LowCardinality(String) CODEC(ZSTD(3)),
    SpanKind             LowCardinality(String) CODEC(ZSTD(3)),
    ServiceName          LowCardinality(String) CODEC(ZSTD(3)),
    ResourceAttributes   Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    ScopeName            String CODEC(ZSTD(3)),
    ScopeVersion         String CODEC(ZSTD(3)),
    SpanAttributes       Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    Duration             UInt64 CODEC(T64, ZSTD(3)),
    StatusCode           LowCardinality(String) CODEC(ZSTD(3)),
    StatusMessage        String CODEC(ZSTD(3)),
    `Events.Timestamp`   Array(DateTime64(9)) CODEC(ZSTD(3)),
    `Events.Name`        Array(LowCardinality(String)) CODEC(ZSTD(3)),
    `Events.Attributes`  Array(Map(LowCardinality(String), String)) CODEC(ZSTD(3)),
    `Links.TraceId`      Array(String) CODEC(ZSTD(3)),
    `Links.SpanId`       Array(String) CODEC(ZSTD(3)),
    `Links.TraceState`   Array(String) CODEC(ZSTD(3)),
    `Links.Attributes`   Array(Map(LowCardinality(String), String)) CODEC(ZSTD(3)),

    UsageOutcome         LowCardinality(String) MATERIALIZED multiIf(
        NOT mapContains(SpanAttributes, 'usage.event.id'), 'no_event',
        NOT match(TraceId, '^[0-9a-fA-F]{32}$') OR NOT match(SpanId, '^[0-9a-fA-F]{16}$')
            OR Timestamp <= toDateTime64(0, 9, 'UTC'), 'unstorable',
        mapContains(SpanAttributes, 'usage.rejected.reason'), if(
            SpanAttributes['usage.rejected.reason'] IN (
                'unknown_counter', 'no_counter_name', 'no_object', 'not_a_whole_number', 'out_of_range',
                'no_event_name', 'reserved_event_name'
            ),
            SpanAttributes['usage.rejected.reason'],
            'other'
        ),
        if(mapContains(SpanAttributes, 'usage.event.name'), SpanAttributes['usage.event.name'], SpanName) != 'counter',
            'stored',
        SpanAttributes['usage.counter.name'] = '', 'no_counter_name',
        SpanAttributes['usage.counter.value'] IN ('true', 'false'), 'stored',
        
        match(SpanAttributes['usage.counter.value'], '^-?[0-9]{1,19}$'), if(
            toInt128OrZero(SpanAttributes['usage.counter.value'])
                BETWEEN toInt128('-9223372036854775808') AND toInt128('9223372036854775807'),
            'stored',
            'out_of_range'
        ),
        isNull(toFloat64OrNull(SpanAttributes['usage.counter.value'])), 'not_a_whole_number',
        abs(assumeNotNull(toFloat64OrNull(SpanAttributes['usage.counter.value']))) > 9007199254740992, 'out_of_range',
        toFloat64OrNull(SpanAttributes['usage.counter.value'])
            = floor(toFloat64OrNull(SpanAttributes['usage.counter.value'])), 'stored',
        'not_a_whole_number'
    ) CODEC(ZSTD(3)),

    INDEX trace_id_bloom TraceId TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX visit_key_bloom SpanAttributes['session.id'] TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX user_id_bloom SpanAttributes['user.id'] TYPE bloom_filter(0.01) GRANULARITY 1,
    CONSTRAINT views_come_first CHECK 0
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/usage/otel_traces_local', '{replica}')
PARTITION BY toYYYYMM(Timestamp)
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp), Timestamp)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, merge_with_ttl_timeout = 86400;

CREATE TABLE IF NOT EXISTS usage.otel_traces ON CLUSTER 'usage_cluster' AS usage.otel_traces_local
ENGINE = Distributed('usage_cluster', 'usage', 'otel_traces_local', cityHash64(multiIf(match(SpanAttributes['session.id'], '^[0-9a-fA-F]{32}$'), unhex(SpanAttributes['session.id']), notEmpty(SpanAttributes['session.id']), substring(SHA256(substringUTF8(SpanAttributes['session.id'], 1, 256)), 1, 16), unhex(TraceId))));

-- 0039_create_otel_traces_events_mv
CREATE MATERIALIZED VIEW IF NOT EXISTS usage.otel_traces_events_mv ON CLUSTER 'usage_cluster' TO usage.events_local
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
        
        arrayMap(
            key -> multiIf(
                key = '', '',
                match(key, '^[0-9a-fA-F]{32}$'), unhex(key),
                substring(SHA256(substringUTF8(key, 1, 256)), 1, 16)
            ),
            [attributes['session.id'], attributes['usage.visitor.id']]
        ) AS keys,
        
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
        FROM usage.otel_traces_local AS otel_traces
        WHERE UsageOutcome = 'stored'
    ) AS usage_span
) AS span;

-- 0040_create_otel_traces_rejected_mv
CREATE MATERIALIZED VIEW IF NOT EXISTS usage.otel_traces_rejected_mv ON CLUSTER 'usage_cluster' TO usage.rejected_events_local
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    now64(9, 'UTC')                                                                       AS timestamp,
    if(UsageOutcome = 'unstorable', 'ids or time cannot be stored', toString(UsageOutcome)) AS reason,
    concat(TraceId, SpanId)                                                               AS event_id,
    toJSONString(SpanAttributes)                                                          AS body
FROM usage.otel_traces_local AS otel_traces
WHERE UsageOutcome NOT IN ('stored', 'no_event');

-- 0041_open_otel_traces
ALTER TABLE usage.otel_traces_local ON CLUSTER 'usage_cluster' DROP CONSTRAINT IF EXISTS views_come_first;

CREATE OR REPLACE TABLE usage.otel_traces ON CLUSTER 'usage_cluster' AS usage.otel_traces_local
ENGINE = Distributed('usage_cluster', 'usage', 'otel_traces_local', cityHash64(multiIf(match(SpanAttributes['session.id'], '^[0-9a-fA-F]{32}$'), unhex(SpanAttributes['session.id']), notEmpty(SpanAttributes['session.id']), substring(SHA256(substringUTF8(SpanAttributes['session.id'], 1, 256)), 1, 16), unhex(TraceId))));

