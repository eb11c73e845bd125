-- One row per event that ClickHouse would not take, with the reason; kept for 90 days.
CREATE TABLE IF NOT EXISTS rejected_events
(
    timestamp  DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(3)),
    reason     LowCardinality(String) CODEC(ZSTD(3)),
    event_id   String CODEC(ZSTD(3)),
    body       String CODEC(ZSTD(3))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (timestamp, event_id)
TTL toDateTime(timestamp) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 10000
