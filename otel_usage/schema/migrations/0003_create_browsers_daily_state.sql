-- Requests, visits and visitors per day, service, browser, system, device and is_bot, as aggregate states.
--
-- `visits` are those that began that day: exact, and sums over days are right. `visitors` is a distinct count
-- with about 0.9 % error: merge its states over a range (uniqCombined64Merge), never add its results.
CREATE TABLE IF NOT EXISTS browsers_daily_state
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
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (service_name, day, browser, os, device_type, is_bot)
SETTINGS non_replicated_deduplication_window = 10000
