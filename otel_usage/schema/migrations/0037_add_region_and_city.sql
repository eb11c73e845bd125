-- Adds where the client is to `events`: the region and the city beside the country.
--
-- `region` is an ISO 3166-2 code such as `CH-ZH`, or a name where the source of it knows no code. Older rows read as ''.
ALTER TABLE events
    ADD COLUMN IF NOT EXISTS region LowCardinality(String) CODEC(ZSTD(3)) AFTER country,
    ADD COLUMN IF NOT EXISTS city LowCardinality(String) CODEC(ZSTD(3)) AFTER region
