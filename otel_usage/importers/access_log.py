"""Access logs as chunks of events: finds the format of a file, and reads it line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from otel_usage.errors import OtelUsageError
from otel_usage.importers.chunk import CHUNK_SIZE, Chunk, Refusal
from otel_usage.importers.identity import LineIds
from otel_usage.importers.log_events import LogEvents
from otel_usage.importers.log_json import JSON_FORMATS, JsonFormat
from otel_usage.importers.log_lines import MAX_LINE_BYTES, STANDARD_INPUT, LogLines, open_log
from otel_usage.importers.log_text import TEXT_FORMATS, TextFormat
from otel_usage.importers.logged_request import EARLIEST_NS, LATEST_NS, LogFormat, LoggedRequest
from otel_usage.settings import Settings

LOG_FORMATS = (*TEXT_FORMATS, *JSON_FORMATS)

TOO_LONG = f"longer than {MAX_LINE_BYTES:,} bytes"
UNFINISHED = "without an end: the last line, which may still be being written"
_LINES_LOOKED_AT = 100


class LogOptions(NamedTuple):
    """What is the same for all files of an import."""

    settings: Settings
    """Those of the app whose log it is: what is kept of addresses, what is tracked, the funnels."""
    service: str
    """The service of the events."""
    format_name: str = ""
    """One of `LOG_FORMATS`; empty to find out."""
    since_ns: int = EARLIEST_NS
    until_ns: int = LATEST_NS


def log_format(name: str) -> LogFormat:
    """Return what reads a format of `LOG_FORMATS`."""
    return JsonFormat(name) if name in JSON_FORMATS else TextFormat(name)


class AccessLog:
    """One log file, or standard input for the name `-`."""

    def __init__(self, name: str, options: LogOptions) -> None:
        self.label = "standard input" if name == STANDARD_INPUT else name
        self._name = name
        self._options = options
        self._ids = LineIds(options.service)
        self._lines_before = 0

    def chunks(self) -> Iterator[Chunk]:
        """Yield what the file holds, in order.

        Raises:
            OtelUsageError: it is no access log, or damaged.
            SettingError: the settings cannot be used.
            OSError: it cannot be read.
        """
        with open_log(self._name) as file:
            lines = LogLines(file, self.label)
            waiting: list[bytes | None] = []
            reader: LogFormat | None = None
            events: LogEvents | None = None
            for block in lines.blocks():
                waiting += block
                if reader is None and (reader := self._find_format(waiting)):
                    events = self._events_of(reader)
                while reader and events and len(waiting) >= CHUNK_SIZE:
                    yield self._chunk(reader, events, waiting[:CHUNK_SIZE])
                    del waiting[:CHUNK_SIZE]
            if lines.unfinished is not None and reader is None:
                reader = self._find_format([*waiting, lines.unfinished])
            if reader is None:
                return
            events = events or self._events_of(reader)
            if waiting:
                yield self._chunk(reader, events, waiting)
            if lines.unfinished is not None:
                yield self._unfinished_chunk(reader, events, lines.unfinished)

    def _events_of(self, reader: LogFormat) -> LogEvents:
        options = self._options
        return LogEvents(
            options.settings, options.service, reader, since_ns=options.since_ns, until_ns=options.until_ns
        )

    def _find_format(self, lines: Sequence[bytes | None]) -> LogFormat | None:
        """Return the format that reads most of the first lines, None when there are none.

        Raises:
            OtelUsageError: none does.
        """
        if self._options.format_name:
            return log_format(self._options.format_name)
        sample = [line.decode("latin-1") for line in lines if line][:_LINES_LOOKED_AT]
        if not sample:
            return None
        read = {name: len(log_format(name).read(sample).numbers) for name in LOG_FORMATS}
        best = max(LOG_FORMATS, key=lambda name: read[name])
        if not read[best]:
            raise OtelUsageError(
                f"{self.label}: its first {len(sample)} lines are in none of the known formats, which are: "
                f"{', '.join(LOG_FORMATS)}. Leave the file out, or say the format with --format"
            )
        return log_format(best)

    def _chunk(self, reader: LogFormat, events: LogEvents, lines: Sequence[bytes | None]) -> Chunk:
        first = self._lines_before + 1
        self._lines_before += len(lines)
        refused: list[Refusal] = []
        numbers: Sequence[int] = range(first, first + len(lines))
        if None in lines or b"" in lines:
            refused = [
                Refusal(TOO_LONG, f"line {first + place}") for place, line in enumerate(lines) if line is None
            ]
            numbers = [first + place for place, line in enumerate(lines) if line]
        kept = [line for line in lines if line]
        ids = self._ids.ids_of(kept)
        read = reader.read([line.decode("latin-1") for line in kept])
        refused += [Refusal(reason, f"line {numbers[place]}") for place, reason in read.refused]
        chunk = events.chunk_of(
            [ids[place] for place in read.numbers], read.fields, [numbers[place] for place in read.numbers]
        )
        return chunk._replace(refused=refused + chunk.refused)

    def _unfinished_chunk(self, reader: LogFormat, events: LogEvents, line: bytes) -> Chunk:
        if reader.is_complete(line.decode("latin-1")):
            return self._chunk(reader, events, [line])
        # Its rest may come later, and would make another event of it.
        place = f"line {self._lines_before + 1}"
        return events.chunk_of([], [()] * len(LoggedRequest._fields), [])._replace(
            refused=[Refusal(UNFINISHED, place)]
        )
