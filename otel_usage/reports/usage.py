"""`get_usage`: the requests of an app, newest first, as Flask-Track-Usage gives them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, SupportsIndex

from otel_usage.clickhouse import ClickHouse
from otel_usage.cures import explain
from otel_usage.errors import ClickHouseError
from otel_usage.reports import load_sql
from otel_usage.reports.connection import usage_client
from otel_usage.reports.event_page import Place
from otel_usage.reports.usage_arguments import Moment, UsageQuestion
from otel_usage.reports.usage_rows import UsageRow, to_usage
from otel_usage.reports.usage_walks import ListKey, Walks, place_after

_MOST_SKIPPED = 2**62
_FEW = 10_000
"""Rows to pass over that a small part of the list may well hold."""
_DAY_NS = 86_400_000_000_000


class UsagePage(list[dict[str, Any]]):
    """A list of requests, which knows where the next page begins.

    Attributes:
        next: what to give as `page` for the rows behind these; None when there are none.
    """

    def __init__(self, rows: Iterable[dict[str, Any]] = (), next: str | None = None) -> None:
        super().__init__(rows)
        self.next = next


def get_usage(
    start_date: Moment = None,
    end_date: Moment = None,
    limit: SupportsIndex = 500,
    page: SupportsIndex | str = 1,
    *,
    service: str | None = None,
    dsn: str | None = None,
) -> UsagePage:
    """Return requests, newest first, each as a dictionary with Flask-Track-Usage's keys.

    `url`, `user_agent` (`browser`, `language`, `platform`, `version`), `blueprint`, `view_args`, `status`,
    `remote_addr`, `xforwardedfor`, `authorization`, `ip_info`, `path`, `speed` in seconds, `date`, `username`,
    `track_var`. What is not known is None. `date` is a naive datetime in UTC, cut to microseconds, because old code
    compares it with naive ones. `view_args` and `track_var` are dictionaries, or None when they are empty.

    The first page is frozen: what arrives later with a newer time does not shift the pages behind it, and one page
    after the other gives each request that was there exactly once. A page begins where the one before it ended, as
    the process remembers for a quarter of an hour. Where nobody asked this process for the page before, rows are
    counted from the newest one on. `next` of a page needs no memory and is right in every process, at any time.

    Args:
        start_date: the first moment that counts. Aware, or naive and then in UTC; a date stands for its beginning,
            a number for seconds since the epoch. None for all.
        end_date: the last moment that counts, the same; a date stands for the end of its day. None for now.
        limit: most rows of a page, up to 100,000.
        page: its number, from 1 on (below that: 1), or `next` of the page before, with the other arguments as they
            were.
        service: one service alone, by its name; None for all.
        dsn: the ClickHouse to ask; None for that of `configure()` or of `OTEL_USAGE_DSN`.

    Raises:
        TypeError: an argument is of a kind that cannot be used.
        ValueError: the limit is out of range, or the page is a text that no page gave.
        SettingError: there is no DSN, or it cannot be used.
        ClickHouseError: ClickHouse does not answer, or cannot. It is an `OtelUsageError`, and says what to do.
    """
    question = UsageQuestion.of(start_date, end_date, limit, page, service)
    with _errors_with_their_cures():
        return read_usage(usage_client(dsn), _walks, question)


def read_usage(
    client: ClickHouse, walks: Walks, question: UsageQuestion, settings: Mapping[str, Any] | None = None
) -> UsagePage:
    """Return a page of requests.

    Args:
        client: of the database that is asked.
        walks: remembers where the pages begin.
        question: what is asked for.
        settings: further ClickHouse settings, such as a limit of time.

    Raises:
        ClickHouseError: ClickHouse could not answer.
    """
    if not question.size:
        return UsagePage()
    if isinstance(question.page, Place):
        return _to_page(_read(client, question, question.page, 0, settings), question.size)
    number = question.page
    walk = walks.walk_to(ListKey(client.dsn.masked, question.service, question.size, question.end_ns), number)
    start = walk.nearest_start(number)
    skipped = min((number - start.page) * question.size, _MOST_SKIPPED)
    rows = _read(client, question, start.place, skipped, settings)
    page = rows[: question.size]
    if page:
        walk.note_start(number + 1, page[-1].place)
    elif not skipped:
        walk.note_start(number + 1, start.place)
    return _to_page(rows, question.size)


def _read(
    client: ClickHouse,
    question: UsageQuestion,
    behind: Place,
    skipped: int,
    settings: Mapping[str, Any] | None,
) -> list[UsageRow]:
    """Return the requests right behind a place, one more than fit on the page."""
    if question.end_ns is not None:
        behind = min(behind, place_after(question.end_ns))
    # Rarely does a page need more than the days right before it, and reading all of history takes its time.
    windows = (_DAY_NS, 32 * _DAY_NS, behind.time_ns) if skipped <= _FEW else (behind.time_ns,)
    for window_ns in windows:
        since_ns = max(question.since_ns, behind.time_ns - window_ns)
        rows = _ask(client, question, since_ns, behind, skipped, settings)
        if len(rows) > question.size or since_ns == question.since_ns:
            break
    return rows


def _ask(
    client: ClickHouse,
    question: UsageQuestion,
    since_ns: int,
    behind: Place,
    skipped: int,
    settings: Mapping[str, Any] | None,
) -> list[UsageRow]:
    parameters = {
        "since_ns": since_ns,
        "place_ns": behind.time_ns,
        "place_trace_id": behind.event_id[:32],
        "place_span_id": behind.event_id[32:],
        "skipped": skipped,
        "service": question.service,
        "limit": question.size + 1,
    }
    result = client.query(
        load_sql("usage_page"), parameters, {"log_comment": "otel_usage get_usage", **(settings or {})}
    )
    return [UsageRow(*row) for row in result.rows]


def _to_page(rows: list[UsageRow], size: int) -> UsagePage:
    more = str(rows[size - 1].place) if len(rows) > size else None
    return UsagePage(map(to_usage, rows[:size]), more)


@contextmanager
def _errors_with_their_cures() -> Iterator[None]:
    try:
        yield
    except ClickHouseError as error:
        told = type(error)(explain(error), error.code)
        told.dsn = error.dsn
        raise told from error


_walks = Walks()
