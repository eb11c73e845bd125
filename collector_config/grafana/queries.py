r"""The SQL of a panel: that of a report, with Grafana's macros and variables in the place of its parameters.

So each number is defined once, and the command line gives the same. A variable may hold any text: whoever makes the
link chooses it, and service names come from the network. None of Grafana's quoting formats is safe in ClickHouse,
where a backslash escapes the quote behind it: `singlequote` turns `\'` into `\\'`, and `sqlstring` into `\''`; both end
the text there. So variables travel percent-encoded, which leaves letters, digits and `-_.~%`, and ClickHouse decodes them.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from otel_usage.reports import REPORTS, load_sql
from otel_usage.reports.model import BUCKETS
from otel_usage.settings import Settings

ALL_ROWS = 1_000_000
"""Limit of a report whose rows are summed or put into another order, so that none is missing."""
HOUR = BUCKETS["hour"]
"""Bucket of a report over time whose buckets are summed, in seconds."""
VISIT_TIMEOUT_SECONDS = f"{Settings.load({}).visit_timeout_seconds:.0f}"
"""The one of an app that sets none."""

_PARAMETER = re.compile(r"\{(\w+):[^{}]+\}", re.ASCII)

_FIRST_DAY = "toDate($__fromTime_ms, 'UTC')"
_END_DAY = "(toDate($__toTime_ms - toIntervalMillisecond(1), 'UTC') + 1)"
_LONGEST_TIMEOUT_SECONDS = 365 * 86_400
_WHOLE_DAYS = {
    "since": f"toDateTime64({_FIRST_DAY}, 9, 'UTC')",
    "until": f"toDateTime64({_END_DAY}, 9, 'UTC')",
}
_TEXTS = ("service", "funnel", "stage", "object_type", "trace_id")


def text_of(variable: str) -> str:
    """Return SQL for the text that a variable of the dashboard holds, whatever that is."""
    return f"decodeURLComponent('${{{variable}:percentencode}}')"


def report_sql(
    report: str,
    columns: str = "*",
    *,
    variables: Collection[str] = ("service", "bots"),
    where: str = "",
    group_by: str = "",
    order_by: str = "",
    bucket_seconds: int | None = None,
    limit: int = 1000,
    most: int | None = None,
    whole_days: bool = False,
) -> str:
    """Return the SQL that asks a report in the dashboard's range of time.

    Args:
        report: one of `REPORTS`.
        columns: what is selected from the report's rows.
        variables: the report's parameters that follow a variable of the same name; the others choose nothing.
        where: a condition on the report's rows.
        group_by: what the columns sum them by.
        order_by: their order, where it is not the report's.
        bucket_seconds: how long a bucket of time is; None: as long as the panel is wide.
        limit: most rows of the report.
        most: most rows of the answer, where that is cut otherwise than the report.
        whole_days: the range takes its whole first and last day, also where the report takes times.

    Raises:
        KeyError: there is no such report, or it has a parameter that dashboards do not know.
    """
    sql = _without_comments(load_sql(REPORTS[report].name))
    values = {**_values(variables, bucket_seconds, limit), **(_WHOLE_DAYS if whole_days else {})}
    bound = _PARAMETER.sub(lambda found: values[found[1]], sql)
    parts = [f"/* otel_usage report {report} */", f"SELECT {columns}", "FROM", "(", bound, ")"]
    if where:
        parts.append(f"WHERE {where}")
    if group_by:
        parts.append(f"GROUP BY {group_by}")
    if order_by:
        parts.append(f"ORDER BY {order_by}")
    if most is not None:
        parts.append(f"LIMIT {most}")
    return "\n".join(parts)


def _values(variables: Collection[str], bucket_seconds: int | None, limit: int) -> dict[str, str]:
    values = {name: text_of(name) if name in variables else "''" for name in _TEXTS}
    bots = f"transform({text_of('bots')}, ['without', 'only'], [0, 1], -1)" if "bots" in variables else "-1"
    return {
        **values,
        "bots": bots,
        "open_since": f"(now64(9, 'UTC') - toIntervalSecond({_visit_timeout(variables)}))",
        "since": "toDateTime64($__fromTime_ms, 9, 'UTC')",
        "until": "toDateTime64($__toTime_ms, 9, 'UTC')",
        "first_day": _FIRST_DAY,
        "end_day": _END_DAY,
        # A Date has no days before 1970.
        "first_day_read": f"({_FIRST_DAY} - least(31, toUInt16({_FIRST_DAY})))",
        "end_day_read": f"({_END_DAY} + 31)",
        "bucket_seconds": "$__interval_s" if bucket_seconds is None else str(bucket_seconds),
        "limit": str(limit),
    }


def _visit_timeout(variables: Collection[str]) -> str:
    chosen = text_of("visit_timeout") if "visit_timeout" in variables else "''"
    seconds = f"toUInt32OrDefault({chosen}, toUInt32({VISIT_TIMEOUT_SECONDS}))"
    return f"least({seconds}, {_LONGEST_TIMEOUT_SECONDS})"


def _without_comments(sql: str) -> str:
    return "\n".join(line for line in sql.strip().splitlines() if not line.lstrip().startswith("--"))
