-- One row per day, service and visit; a visit over midnight has two, so read it grouped by visit.
--
-- What the first request said, the path of the last one and the last known user are chosen by
-- (time, trace id, span id), so that no state depends on how events were batched or merged.
CREATE TABLE IF NOT EXISTS visits_state
(
    service_name      LowCardinality(String) CODEC(ZSTD(3)),
    day               Date CODEC(ZSTD(3)),
    visit_key_bytes   FixedString(16) CODEC(ZSTD(3)),
    visitor_id_bytes  SimpleAggregateFunction(max, FixedString(16)) CODEC(ZSTD(3)),
    started           SimpleAggregateFunction(min, DateTime64(9, 'UTC')) CODEC(ZSTD(3)),
    last_seen         SimpleAggregateFunction(max, DateTime64(9, 'UTC')) CODEC(ZSTD(3)),
    requests          SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(3)),
    confirmed         SimpleAggregateFunction(max, UInt8) CODEC(ZSTD(3)),
    is_bot            SimpleAggregateFunction(max, UInt8) CODEC(ZSTD(3)),
    user_id           AggregateFunction(argMax, String, Tuple(DateTime64(9, 'UTC'), FixedString(16), FixedString(8))) CODEC(ZSTD(3)),
    exit_path         AggregateFunction(argMax, String, Tuple(DateTime64(9, 'UTC'), FixedString(16), FixedString(8))) CODEC(ZSTD(3)),
    first_request     AggregateFunction(
        argMin,
        Tuple(IPv6, String, String, String, String, String, String, String),
        Tuple(DateTime64(9, 'UTC'), FixedString(16), FixedString(8))
    ) CODEC(ZSTD(3))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (service_name, day, visit_key_bytes)
SETTINGS non_replicated_deduplication_window = 10000
