-- Views, visits and users per day, service, object and is_bot, as aggregate states.
CREATE TABLE IF NOT EXISTS objects_daily_state
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
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (service_name, day, object_type, object_id, is_bot)
SETTINGS non_replicated_deduplication_window = 10000
