-- One row per span, in the 22 columns that the OpenTelemetry Collector's ClickHouse exporter and rotel write.
--
-- Two views read what is inserted: usage spans become rows of `events`, or of `rejected_events`. `UsageOutcome` says
-- which, once for both: `stored`, `no_event` for a span that is no usage event, or why it is set aside, by the rule of
-- the exporter (pipeline/rejection.py); `unstorable` is one without valid ids or time. All attributes are texts here,
-- so a counter's value is judged by its text. The nested columns are written out, because a server may be told to
-- keep `Nested` as one. Until its views are there it refuses rows, which they would miss: a Collector that is waiting
-- sends them again. Sorted as people look for spans of a service; the indexes find a trace, a visit and a user.
CREATE TABLE IF NOT EXISTS otel_traces
(
    Timestamp            DateTime64(9) CODEC(Delta(8), ZSTD(3)),
    TraceId              String CODEC(ZSTD(3)),
    SpanId               String CODEC(ZSTD(3)),
    ParentSpanId         String CODEC(ZSTD(3)),
    TraceState           String CODEC(ZSTD(3)),
    SpanName             LowCardinality(String) CODEC(ZSTD(3)),
    SpanKind             LowCardinality(String) CODEC(ZSTD(3)),
    ServiceName          LowCardinality(String) CODEC(ZSTD(3)),
    ResourceAttributes   Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    ScopeName            String CODEC(ZSTD(3)),
    ScopeVersion         String CODEC(ZSTD(3)),
    SpanAttributes       Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    Duration             UInt64 CODEC(T64, ZSTD(3)),
    StatusCode           LowCardinality(String) CODEC(ZSTD(3)),
    StatusMessage        String CODEC(ZSTD(3)),
    `Events.Timestamp`   Array(DateTime64(9)) CODEC(ZSTD(3)),
    `Events.Name`        Array(LowCardinality(String)) CODEC(ZSTD(3)),
    `Events.Attributes`  Array(Map(LowCardinality(String), String)) CODEC(ZSTD(3)),
    `Links.TraceId`      Array(String) CODEC(ZSTD(3)),
    `Links.SpanId`       Array(String) CODEC(ZSTD(3)),
    `Links.TraceState`   Array(String) CODEC(ZSTD(3)),
    `Links.Attributes`   Array(Map(LowCardinality(String), String)) CODEC(ZSTD(3)),

    UsageOutcome         LowCardinality(String) MATERIALIZED multiIf(
        NOT mapContains(SpanAttributes, 'usage.event.id'), 'no_event',
        NOT match(TraceId, '^[0-9a-fA-F]{32}$') OR NOT match(SpanId, '^[0-9a-fA-F]{16}$')
            OR Timestamp <= toDateTime64(0, 9, 'UTC'), 'unstorable',
        mapContains(SpanAttributes, 'usage.rejected.reason'), if(
            SpanAttributes['usage.rejected.reason'] IN (
                'unknown_counter', 'no_counter_name', 'no_object', 'not_a_whole_number', 'out_of_range',
                'no_event_name', 'reserved_event_name'
            ),
            SpanAttributes['usage.rejected.reason'],
            'other'
        ),
        if(mapContains(SpanAttributes, 'usage.event.name'), SpanAttributes['usage.event.name'], SpanName) != 'counter',
            'stored',
        SpanAttributes['usage.counter.name'] = '', 'no_counter_name',
        SpanAttributes['usage.counter.value'] IN ('true', 'false'), 'stored',
        -- Digits: of more than 19 the engine would keep the last ones alone.
        match(SpanAttributes['usage.counter.value'], '^-?[0-9]{1,19}$'), if(
            toInt128OrZero(SpanAttributes['usage.counter.value'])
                BETWEEN toInt128('-9223372036854775808') AND toInt128('9223372036854775807'),
            'stored',
            'out_of_range'
        ),
        isNull(toFloat64OrNull(SpanAttributes['usage.counter.value'])), 'not_a_whole_number',
        abs(assumeNotNull(toFloat64OrNull(SpanAttributes['usage.counter.value']))) > 9007199254740992, 'out_of_range',
        toFloat64OrNull(SpanAttributes['usage.counter.value'])
            = floor(toFloat64OrNull(SpanAttributes['usage.counter.value'])), 'stored',
        'not_a_whole_number'
    ) CODEC(ZSTD(3)),

    INDEX trace_id_bloom TraceId TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX visit_key_bloom SpanAttributes['session.id'] TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX user_id_bloom SpanAttributes['user.id'] TYPE bloom_filter(0.01) GRANULARITY 1,
    CONSTRAINT views_come_first CHECK 0
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(Timestamp)
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp), Timestamp)
SETTINGS non_replicated_deduplication_window = 10000, merge_with_ttl_timeout = 86400
