"""What SQL may name: the allow-lists of the guard.

A function, table function, engine or setting that is not covered here is refused, so what a later engine adds
stays closed until somebody has looked at it.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTION_CATEGORIES = frozenset(
    {
        "Aggregate Functions",
        "Arithmetic",
        "Arrays",
        "Bit",
        "Bitmap",
        "Comparison",
        "Conditional",
        "Dates and Times",
        "Distance",
        "Encoding",
        "Encryption",
        "Financial",
        "Geo",
        "Geo Polygon",
        "Hash",
        "IP Address",
        "JSON",
        "Logical",
        "Map",
        "Mathematical",
        "Null",
        "NumericIndexedVector",
        "QBit",
        "Random Number",
        "Rounding",
        "String",
        "String Replacement",
        "String Search",
        "String Splitting",
        "Time Window",
        "Tuple",
        "Type Conversion",
        "URL",
        "UUID",
    }
)
"""Categories of `system.functions` whose members compute their result from their arguments alone."""

FUNCTIONS = _words(
    """
    arrayJoin authenticatedUser bar blockNumber blockSerializedSize blockSize byteSize colorOKLABToSRGB
    colorOKLCHToSRGB colorSRGBToOKLAB colorSRGBToOKLCH connectionId countDigits currentDatabase currentProfiles
    currentQueryID currentRoles currentSchemas currentUser defaultValueOfArgumentType defaultValueOfTypeName digits displayName dumpColumnStructure
    errorCodeToName finalizeAggregation formatQuery formatQueryOrNull formatQuerySingleLine
    formatQuerySingleLineOrNull formatReadableDecimalSize formatReadableQuantity formatReadableSize
    formatReadableTimeDelta FQDN getSetting getSizeOfEnumType getSubcolumn hostName identity ignore
    indexHint initialQueryID initialQueryStartTime initializeAggregation isConstant isDecimalOverflow joinGet
    joinGetOrNull lowCardinalityIndices lowCardinalityKeys MACNumToString MACStringToNum MACStringToOUI materialize
    minSampleSizeContinuous minSampleSizeConversion neighbor nested normalizeQuery normalizeQueryKeepNames
    normalizedQueryHash normalizedQueryHashKeepNames parseReadableSize parseReadableSizeOrNull
    parseReadableSizeOrZero parseTimeDelta partitionId queryID revision rowNumberInAllBlocks rowNumberInBlock
    runningAccumulate runningDifference runningDifferenceStartingWithFirstValue shardCount shardNum sleep throwIf toColumnTypeName
    toTypeName transform uptime variantElement variantType version visibleWidth
    """.lower()
)
"""Functions of mixed categories (`Other`, `Internal`) that stay inside the engine."""

TABLE_FUNCTIONS = _words(
    """
    format generate_series generaterandom generateseries merge null numbers numbers_mt primes values view zeros
    zeros_mt
    """
)

ENGINES = _words(
    """
    aggregatingmergetree coalescingmergetree collapsingmergetree graphitemergetree mergetree replacingmergetree
    summingmergetree versionedcollapsingmergetree atomic join log memory null set stripelog tinylog
    """
)
"""Table and database engines that keep their data in the data directory or in memory.

Engines that name another table by text (Buffer, Alias, Merge) are not among them: through the engine's own database
`default`, where files are tables, a Buffer reads and writes any file.
"""

KEYWORDS_BEFORE_PARENTHESIS = _words(
    """
    alias all and any apply as between by case cast check codec columns cube default deduplicate distinct else
    ephemeral except exists explain extract fill filter from grouping having if ilike in index interpolate intersect
    interval into join key like limit materialized not offset on or order over partition prewhere qualify replace
    rollup select set sets settings step table then to totals ttl type union update using values view when where with
    bloom_filter hypothesis minmax ngrambf_v1 sparse_grams text tokenbf_v1 vector_similarity
    """
)
"""Words after which a parenthesis is no call, and the types of skipping indexes."""

NAMED_BEFORE_COLUMNS = _words("INTO TABLE VIEW TO EXISTS INDEX PROJECTION CONSTRAINT FROM JOIN")
"""After these words stands a name of the user's own; a parenthesis after it lists columns or view parameters."""

SETTING_TYPES = _words(
    """
    Bool BoolAuto Char Double Float FloatAuto Int32 Int64 Microseconds Milliseconds MaxThreads NonZeroUInt64 Seconds
    UInt32 UInt64 UInt64Auto OverflowMode OverflowModeGroupBy JoinAlgorithm JoinStrictness TotalsMode SetOperationMode
    DateTimeInputFormat DateTimeOutputFormat DateTimeOverflowBehavior DeduplicateInsertMode
    DeduplicateInsertSelectMode IntervalOutputFormat LoadBalancing LogsLevel ShortCircuitFunctionEvaluation Timezone
    ArrowCompression ORCCompression ParquetCompression ParquetVersion AlterUpdateMode LightweightDeleteMode
    LightweightMutationProjectionMode DeduplicateMergeProjectionMode StreamingHandleErrorMode
    MsgPackUUIDRepresentation MySQLDataTypesSupport IdentifierQuotingRule IdentifierQuotingStyle
    SchemaInferenceMode EscapingRule
    """
)
"""Types of settings that cannot hold a path, an address or an expression."""

TEXT_SETTINGS = _words(
    """
    bool_false_representation bool_true_representation column_names_for_schema_inference compatibility
    count_distinct_implementation default_compression_codec default_format force_data_skipping_indices
    format_csv_null_representation format_custom_field_delimiter format_custom_result_after_delimiter
    format_custom_result_before_delimiter format_custom_row_after_delimiter format_custom_row_before_delimiter
    format_custom_row_between_delimiter format_json_object_each_row_column_for_object_name format_regexp
    format_tsv_null_representation ignore_data_skipping_indices insert_deduplication_token log_comment
    marks_compression_codec network_compression_method output_format_pretty_grid_charset
    output_format_sql_insert_table_name primary_key_compression_codec query_cache_tag schema_inference_hints
    """
)
"""Settings that hold text and neither name a file or host nor change how SQL is read."""

REFUSED_SETTINGS = frozenset(
    {
        # The guard relies on it: large VALUES lists are read as data, where expressions must not run.
        "input_format_values_interpret_expressions",
        "allow_settings_after_format_in_insert",
        "allow_introspection_functions",
        "allow_experimental_eval_table_function",
        "run_query_in_background",
    }
)
"""Settings of a harmless type that are refused all the same."""

STATEMENTS = {
    "SELECT": (),
    "WITH": (),
    "FROM": (),
    "SHOW": (),
    "DESCRIBE": (),
    "DESC": (),
    "EXISTS": (),
    "EXPLAIN": (),
    "CHECK": ("TABLE",),
    "INSERT": ("INTO",),
    "CREATE": ("TABLE", "TEMPORARY", "VIEW", "MATERIALIZED", "DATABASE", "INDEX"),
    "ALTER": ("TABLE", "TEMPORARY"),
    "DROP": ("TABLE", "TEMPORARY", "VIEW", "DATABASE", "INDEX"),
    "TRUNCATE": (),
    "RENAME": ("TABLE",),
    "EXCHANGE": ("TABLES",),
    "OPTIMIZE": ("TABLE",),
    "DELETE": ("FROM",),
    "UPDATE": (),
    "SET": (),
    "USE": (),
}
"""First word of a statement, and the words of which one must follow; none means any."""

REFUSED_STATEMENTS = _words(
    """
    ATTACH BACKUP BEGIN COMMIT COPY DETACH EXECUTE GRANT KILL MOVE REPLACE RESTORE REVOKE ROLLBACK SYSTEM UNDROP
    """
)
"""First words that are no typing mistakes: a client hears that it may not, instead of a syntax error."""

READING_STATEMENTS = frozenset(
    {"SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK"}
)
"""Statements that answer with rows and change nothing."""
