-- One row per usage event; the only table that the exporter writes to, and the source of every view.
--
-- Sorted by (service, time), because every question names a span of time and most name a service; an hour or
-- a route in the key would disable the pruning by time. Ids are stored as bytes and read as hex through alias
-- columns. The bloom filters stand on the very expressions of the aliases, so that `WHERE trace_id = '…'`
-- uses them; a key that is all zeros reads as '' by being repeated 0 times, because ClickHouse 24.8 finds no
-- index on an expression that holds a constant. The deduplication window remembers the tokens of inserts: a batch that comes twice counts once.
CREATE TABLE IF NOT EXISTS events
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
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (service_name, timestamp)
-- Expired rows go within a day. Dropping whole parts only would be cheaper, and keep them up to a month longer.
SETTINGS non_replicated_deduplication_window = 10000, merge_with_ttl_timeout = 86400
