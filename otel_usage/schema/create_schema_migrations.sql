-- What was done to this database: one row per migration that was applied, and, as version 0, the latest
-- deduplication probe. Two runs at once record the same row twice, of which one stays; read it FINAL.
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version         UInt32,
    name            String,
    checksum        String,
    applied_at      DateTime64(9, 'UTC'),
    engine_version  String,
    result          String
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY version
SETTINGS non_replicated_deduplication_window = 1000
