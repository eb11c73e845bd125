"""The engine's own configuration: what it refuses by itself, behind the guard.

Grants are the engine's allow-list of statements and of sources outside (files, URLs, other servers); constraints
keep the settings that name files as they are. Written anew at each start, so that an edited file grants nothing.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

_GRANTS = (
    "GRANT SHOW, SELECT, INSERT, CHECK, OPTIMIZE, TRUNCATE, KILL QUERY, ALTER UPDATE, ALTER DELETE, ALTER COLUMN, "
    "ALTER INDEX, ALTER PROJECTION, ALTER CONSTRAINT, ALTER TTL, ALTER SETTINGS, ALTER MODIFY COMMENT, "
    "ALTER MOVE PARTITION, ALTER ORDER BY, ALTER VIEW, CREATE DATABASE, CREATE TABLE, CREATE VIEW, "
    "DROP DATABASE, DROP TABLE, DROP VIEW ON *.*",
    "GRANT CREATE TEMPORARY TABLE ON *.*",
    "REVOKE INSERT, TRUNCATE, CREATE TABLE, CREATE VIEW, DROP DATABASE, DROP TABLE ON system.*",
    # The engine's own database 'default' shows the files of the working directory as tables.
    "REVOKE INSERT, TRUNCATE, CREATE TABLE, CREATE VIEW, DROP DATABASE, DROP TABLE ON default.*",
)

_CONSTANT_SETTINGS = (
    "dialect",
    "format_schema",
    "format_schema_source",
    "format_template_resultset",
    "format_template_row",
    "format_avro_schema_registry_url",
    "input_format_record_errors_file_path",
    "rename_files_after_processing",
    "additional_result_filter",
    "additional_table_filters",
    "allow_introspection_functions",
    "allow_experimental_eval_table_function",
)

_MAX_RESULT_BYTES = 1 << 29
"""Largest result by default, because it stays in memory until it is sent; a client may set its own."""


def write_config(directory: Path) -> Path:
    """Write the engine's configuration files and return the path of the one to start with.

    Args:
        directory: private, exists; paths that the engine may look into point at an empty directory in it.
    """
    nothing = directory / "nothing"
    nothing.mkdir(mode=0o700, exist_ok=True)
    users = directory / "users.xml"
    users.write_text(_users(), "utf-8")
    config = directory / "config.xml"
    empty = escape(f"{nothing}/")
    config.write_text(
        f"""<clickhouse>
    <users_config>{escape(str(users))}</users_config>
    <user_files_path>{empty}</user_files_path>
    <user_scripts_path>{empty}</user_scripts_path>
    <format_schema_path>{empty}</format_schema_path>
    <custom_local_disks_base_directory>{empty}</custom_local_disks_base_directory>
    <remote_url_allow_hosts></remote_url_allow_hosts>
</clickhouse>
""",
        "utf-8",
    )
    return config


def _users() -> str:
    grants = "".join(f"<query>{grant}</query>" for grant in _GRANTS)
    constraints = "".join(f"<{name}><const/></{name}>" for name in _CONSTANT_SETTINGS)
    return f"""<clickhouse>
    <profiles><default>
        <max_result_bytes>{_MAX_RESULT_BYTES}</max_result_bytes>
        <result_overflow_mode>throw</result_overflow_mode>
        <constraints>{constraints}</constraints>
    </default></profiles>
    <quotas><default></default></quotas>
    <users><default>
        <password></password>
        <networks><ip>::/0</ip></networks>
        <profile>default</profile>
        <quota>default</quota>
        <grants>{grants}</grants>
    </default></users>
</clickhouse>
"""
