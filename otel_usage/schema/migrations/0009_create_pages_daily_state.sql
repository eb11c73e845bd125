-- Requests, visits, errors and durations per day, service, route, path and is_bot, as aggregate states.
--
-- The path of a 404 is left empty, or every probing robot would add rows for ever. Durations are DDSketch
-- states: 1 % relative error, and the same result in whatever order they were merged.
CREATE TABLE IF NOT EXISTS pages_daily_state
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
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (service_name, day, route, path, is_bot)
SETTINGS non_replicated_deduplication_window = 10000
