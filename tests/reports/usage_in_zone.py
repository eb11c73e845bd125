"""Asks `get_usage` in a process whose clock has the zone of `TZ`, and prints what it saw: `python usage_in_zone.py DSN ZONE`.

ZONE is that of the ClickHouse session.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime, timedelta, timezone

from otel_usage.reports.connection import usage_client
from otel_usage.reports.usage import UsagePage, read_usage
from otel_usage.reports.usage_arguments import Moment, UsageQuestion
from otel_usage.reports.usage_walks import Walks

dsn, session_zone = sys.argv[1:]
client = usage_client(dsn)
settings = {"session_timezone": session_zone}
assert client.query("SELECT toString(toDateTime(0))", settings=settings).rows != [("1970-01-01 00:00:00",)]
walks = Walks()


def get(start: Moment, end: Moment, limit: int = 500, page: int = 1) -> UsagePage:
    question = UsageQuestion.of(start, end, limit, page, "")
    return read_usage(client, walks, question, settings)


rows = get(datetime(2024, 1, 1), datetime(2024, 12, 31))
pages = [row for page in range(1, 6) for row in get(None, datetime(2024, 12, 31), 3, page)]
at_the_change = rows[1::3]
seen = {
    "is elsewhere": bool(time.timezone),
    "dates": [row["date"].isoformat() for row in rows],
    "paths": [row["path"] for row in rows],
    "pages": [row["path"] for row in pages],
    "half an hour before": [
        [found["path"] for found in get(row["date"] - timedelta(minutes=30), row["date"])]
        for row in at_the_change
    ],
    "found by the local clock": [
        [found["path"] for found in get(local, local)]
        for row in at_the_change
        for local in [row["date"].replace(tzinfo=timezone.utc).astimezone()]
    ],
}
print(json.dumps(seen))
