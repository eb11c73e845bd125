"""What a panel, a variable and an annotation ask of Grafana's ClickHouse data source.

Facts from the sources of version 4 (github.com/grafana/clickhouse-datasource): `src/types/sql.ts` has the keys of a
query, `src/data/utils.ts` the numbers of its formats, and the dashboards that come with it those of an annotation.
"""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.builders.dashboard import AnnotationQuery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import AnnotationTarget, DataSourceRef

SOURCE = DataSourceRef(type_val="grafana-clickhouse-datasource", uid="otel-usage")
PLUGIN_VERSION = "4.20.0"

TABLE = "table"
TIME_SERIES = "timeseries"
TRACES = "traces"
_FORMATS = {TIME_SERIES: 0, TABLE: 1, TRACES: 3}


@dataclass(frozen=True, slots=True)
class Query(Dataquery):
    """One query in SQL, as the editor of the data source saves it."""

    sql: str
    kind: str = TABLE
    """`TABLE`, `TIME_SERIES` (a column `time`, then a label, then numbers) or `TRACES`."""
    ref_id: str = "A"

    def to_json(self) -> dict[str, object]:
        """Return it as a dashboard holds it."""
        return {
            "refId": self.ref_id,
            "datasource": SOURCE,
            "pluginVersion": PLUGIN_VERSION,
            "editorType": "sql",
            "queryType": self.kind,
            "format": _FORMATS[self.kind],
            "rawSql": self.sql,
        }


@dataclass(frozen=True, slots=True)
class QueryBuilder(Builder[Dataquery]):
    """Gives a query to a panel of the SDK."""

    query: Query

    def build(self) -> Dataquery:
        """Return the query."""
        return self.query


class _AnnotationTarget(AnnotationTarget):
    def __init__(self, query: Query) -> None:
        super().__init__()
        self._query = query

    def to_json(self) -> dict[str, object]:
        return self._query.to_json()


@dataclass(frozen=True, slots=True)
class _TargetBuilder(Builder[AnnotationTarget]):
    query: Query

    def build(self) -> AnnotationTarget:
        return _AnnotationTarget(self.query)


def annotation(name: str, color: str, sql: str) -> AnnotationQuery:
    """Return an annotation.

    Args:
        name: as the switch on the dashboard shows it.
        color: of its lines.
        sql: a query whose rows have `time`, `text` and `tags`.
    """
    target = _TargetBuilder(Query(sql, ref_id="Anno"))
    return AnnotationQuery().name(name).datasource(SOURCE).icon_color(color).enable(True).target(target)
