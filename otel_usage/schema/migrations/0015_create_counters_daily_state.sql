-- Sums of the app's own counters per day, service, object, counter and is_bot.
CREATE TABLE IF NOT EXISTS counters_daily_state
(
    service_name  LowCardinality(String) CODEC(ZSTD(3)),
    day           Date CODEC(ZSTD(3)),
    object_type   LowCardinality(String) CODEC(ZSTD(3)),
    object_id     String CODEC(ZSTD(3)),
    counter_name  LowCardinality(String) CODEC(ZSTD(3)),
    is_bot        UInt8 CODEC(ZSTD(3)),
    value         SimpleAggregateFunction(sum, Int64) CODEC(ZSTD(3))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (service_name, day, object_type, object_id, counter_name, is_bot)
SETTINGS non_replicated_deduplication_window = 10000
