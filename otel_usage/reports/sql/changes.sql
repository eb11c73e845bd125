-- What changed: migrations of the schema, and versions of services that a Collector's spans told of for the first time.
--
-- A version counts as new when none of its spans came in the day before; services whose events come without a
-- Collector do not tell their version.
--
-- Parameters  since, until DateTime64(9, 'UTC'), half open; service ('' for all), of versions; limit
-- Columns     time: of the last of these migrations, or of the first span; kind: migration or version; service_name: ''
--             for migrations; name: the latest migration, or the version; changes: migrations within the same minute
-- Order       time
SELECT
    time,
    kind,
    service_name,
    name,
    changes
FROM
(
    SELECT
        max(migration.applied_at)                                AS time,
        'migration'                                              AS kind,
        ''                                                       AS service_name,
        concat(
            leftPad(toString(max(migration.version)), 4, '0'), '_', argMax(migration.name, migration.version)
        )                                                        AS name,
        count()                                                  AS changes
    FROM schema_migrations AS migration FINAL
    WHERE migration.applied_at >= {since:DateTime64(9, 'UTC')} AND migration.applied_at < {until:DateTime64(9, 'UTC')}
        AND migration.version > 0
    GROUP BY toStartOfMinute(migration.applied_at)
    UNION ALL
    SELECT
        toTimeZone(min(span.Timestamp), 'UTC')                   AS time,
        'version'                                                AS kind,
        toString(span.ServiceName)                               AS service_name,
        span.ResourceAttributes['service.version']               AS name,
        1                                                        AS changes
    FROM otel_traces AS span
    WHERE span.Timestamp >= {since:DateTime64(9, 'UTC')} - toIntervalDay(1)
        AND span.Timestamp < {until:DateTime64(9, 'UTC')}
        AND span.ResourceAttributes['service.version'] != ''
        AND ({service:String} = '' OR span.ServiceName = {service:String})
    GROUP BY service_name, name
    HAVING time >= {since:DateTime64(9, 'UTC')}
)
ORDER BY time, kind, service_name, name
LIMIT {limit:UInt32}
