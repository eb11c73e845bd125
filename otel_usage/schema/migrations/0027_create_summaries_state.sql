-- Hits, bytes, visits, errors and visitors per hour, service, kind of key, key and is_bot, as aggregate states.
--
-- One table for all summaries and all periods: a day or a month is a sum over its hours. `kind` says what `key`
-- is: url, remote, useragent, browser, language, geo, status or server. The hour stands last in the order, so that
-- the 24 rows of a key lie together and their texts compress to nearly nothing; the day before the kind, so that
-- a span of time is found by it. Sums are UInt64 and exact. `visitors` is kept for the kind server alone, because
-- a set of visitors for each URL would take more space than all the rest; it has about 0.9 % error.
CREATE TABLE IF NOT EXISTS summaries_state
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
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (service_name, day, kind, key, is_bot, hour_of_day)
-- Expired rows go within a day, as those of events.
SETTINGS non_replicated_deduplication_window = 10000, merge_with_ttl_timeout = 86400
