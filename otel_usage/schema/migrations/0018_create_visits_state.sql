-- One row per day, service and visit; a visit over midnight has two, so read it grouped by visit.
--
-- What the first request said, the path of the last one and the last known user are the least or greatest
-- tuple that begins with the time; equal times are settled by the values. So no state depends on how events
-- were batched or merged, and a row takes half the space of argMin states. The tuples have no names, because
-- ClickHouse 24.8 would fill them by the names of the selected columns, and what does not match with zeros.
CREATE TABLE IF NOT EXISTS visits_state
(
    service_name      LowCardinality(String) CODEC(ZSTD(3)),
    day               Date CODEC(ZSTD(3)),
    visit_key_bytes   FixedString(16) CODEC(ZSTD(3)),
    visitor_id_bytes  SimpleAggregateFunction(max, FixedString(16)) CODEC(ZSTD(3)),
    requests          SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(3)),
    confirmed         SimpleAggregateFunction(max, UInt8) CODEC(ZSTD(3)),
    is_bot            SimpleAggregateFunction(max, UInt8) CODEC(ZSTD(3)),
    -- (time, path, client_address, browser, os, device_type, country, referrer_domain, campaign_source)
    first_request     SimpleAggregateFunction(
        min, Tuple(DateTime64(9, 'UTC'), String, IPv6, String, String, String, String, String, String)
    ) CODEC(ZSTD(3)),
    -- (time, path)
    last_request      SimpleAggregateFunction(max, Tuple(DateTime64(9, 'UTC'), String)) CODEC(ZSTD(3)),
    -- (time, user_id)
    last_user         SimpleAggregateFunction(max, Tuple(DateTime64(9, 'UTC'), String)) CODEC(ZSTD(3))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (service_name, day, visit_key_bytes)
SETTINGS non_replicated_deduplication_window = 10000
