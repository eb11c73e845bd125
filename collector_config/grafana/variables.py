"""The variables at the top of the dashboards: service, robots or not, funnel, stage, time-out of visits and trace."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import CustomVariable, QueryVariable, TextBoxVariable
from grafana_foundation_sdk.models.dashboard import VariableOption, VariableRefresh

from collector_config.grafana.datasource import PLUGIN_VERSION, SOURCE
from collector_config.grafana.queries import VISIT_TIMEOUT_SECONDS, report_sql

_SERVICES = """SELECT value, text
FROM
(
    SELECT '' AS value, 'All' AS text
    UNION ALL
    SELECT DISTINCT toString(service_name) AS value, value AS text
    FROM browsers_daily_state
    WHERE day >= toDate($__fromTime_ms, 'UTC') AND day <= toDate($__toTime_ms, 'UTC') AND service_name != ''
)
ORDER BY value
LIMIT 1000"""
_FUNNELS = """SELECT DISTINCT funnel
FROM funnel_stages_state
WHERE day >= toDate($__fromTime_ms, 'UTC') AND day <= toDate($__toTime_ms, 'UTC')
ORDER BY funnel
LIMIT 1000"""


def service() -> QueryVariable:
    """Return the choice of one service, or, with the empty text, of all."""
    return (
        _query("service", "Service", _SERVICES)
        .description("One service, or all. Those that had requests in the range.")
        .current(VariableOption(selected=True, text="All", value=""))
    )


def bots() -> CustomVariable:
    """Return whether robots count."""
    texts = (("Without robots", "without"), ("With robots", "with"), ("Robots only", "only"))
    options = [VariableOption(selected=value == "without", text=text, value=value) for text, value in texts]
    return (
        CustomVariable("bots")
        .label("Robots")
        .description("Whether requests of robots count. Visits are a robot's when any of their requests is.")
        .values(", ".join(f"{text} : {value}" for text, value in texts))
        .options(options)
        .current(options[0])
        .allow_custom_value(False)
    )


def funnel() -> QueryVariable:
    """Return the choice of one funnel."""
    return _query("funnel", "Funnel", _FUNNELS).description(
        "One funnel. Those that visits entered in the range."
    )


def stage() -> QueryVariable:
    """Return the choice of the stage after which visits were lost, or, with the empty text, of any."""
    stages = report_sql("funnel", "stage_index AS place, stage AS value", variables=("service", "funnel"))
    any_stage = "SELECT toUInt8(0) AS place, '' AS value"
    sql = (
        "SELECT value, if(value = '', 'Any', value) AS text\n"
        f"FROM\n(\n{any_stage}\nUNION ALL\n{stages}\n)\nORDER BY place, value"
    )
    return (
        _query("stage", "Lost after", sql)
        .description("The stage that lost visits reached last; for the list of lost visits.")
        .current(VariableOption(selected=True, text="Any", value=""))
    )


def visit_timeout() -> TextBoxVariable:
    """Return the field for the time after which a visit is over."""
    return (
        TextBoxVariable("visit_timeout")
        .label("Visits end after")
        .description(
            "OTEL_USAGE_VISIT_TIMEOUT_SECONDS of the app, in whole seconds: a visit seen since may still go on."
        )
        .default_value(VISIT_TIMEOUT_SECONDS)
        .current(VariableOption(selected=True, text=VISIT_TIMEOUT_SECONDS, value=VISIT_TIMEOUT_SECONDS))
    )


def trace_id() -> TextBoxVariable:
    """Return the field for the id of a trace."""
    return (
        TextBoxVariable("trace_id")
        .label("Trace")
        .description("The id of a trace: 32 hex digits. The links of the other dashboards fill it in.")
        .default_value("")
        .current(VariableOption(selected=True, text="", value=""))
    )


def _query(name: str, label: str, sql: str) -> QueryVariable:
    query: dict[str, object] = {
        "refId": f"variable-{name}",
        "pluginVersion": PLUGIN_VERSION,
        "editorType": "sql",
        "rawSql": sql,
    }
    return (
        QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(False)
        .include_all(False)
    )
