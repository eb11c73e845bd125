-- One row per service, day, funnel, stage and visit: when the visit first reached the stage that day.
--
-- `last_user` is (time, user id) of the latest user known at the stage, at the epoch when there was none.
CREATE TABLE IF NOT EXISTS funnel_stages_state
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
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (service_name, day, funnel, stage_index, stage, visit_key_bytes)
SETTINGS non_replicated_deduplication_window = 10000
