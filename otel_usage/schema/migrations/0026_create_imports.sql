-- One row per batch of an import and attempt: written before the batch is sent, and again when ClickHouse had stored it.
--
-- A batch whose row still says is_stored = 0 belongs to an import that runs, or that was killed: then its events may
-- be there and some of the views' states not. `batch` is a hash of the ids of its events; `block` is how many blocks
-- `events` had had, by which its token is known to be remembered still. Read it FINAL.
CREATE TABLE IF NOT EXISTS imports
(
    batch         String CODEC(ZSTD(3)),
    attempt       UInt32 CODEC(ZSTD(3)),
    is_stored     UInt8 CODEC(ZSTD(3)),
    service_name  LowCardinality(String) CODEC(ZSTD(3)),
    days          Array(Date) CODEC(ZSTD(3)),
    events        UInt64 CODEC(ZSTD(3)),
    block         UInt64 CODEC(ZSTD(3)),
    at            DateTime64(9, 'UTC') CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree(is_stored)
ORDER BY (batch, attempt)
SETTINGS non_replicated_deduplication_window = 10000
