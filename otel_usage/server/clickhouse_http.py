"""The ClickHouse HTTP interface over the embedded engine: what clickhouse-connect, clickhouse-go, curl speak.

Trust: the server listens on loopback, whoever reaches it is the user `default`, and the guard keeps every statement
inside of the engine. Not there: users, quotas, progress headers, asynchronous inserts (they run at once), cancelling
a query by hanging up; a result is held in memory until it is sent.
"""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
import uuid
from collections.abc import Mapping
from concurrent.futures import Executor
from http import HTTPStatus
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from otel_usage.server.bodies import BodyError, BodyReader, pack, pack_blocks
from otel_usage.server.engine import Answer, Engine, EngineError
from otel_usage.server.native_blocks import FRAMED_FROM, UnknownType, framed
from otel_usage.server.query_request import QueryRequest, wants_blocks
from otel_usage.server.sessions import Sessions
from otel_usage.server.sql_guard import SqlGuard, Verdict
from otel_usage.server.sql_tokens import SqlRefused
from otel_usage.server.statements import DataInsert, SqlText, split_statement

logger = logging.getLogger(__name__)

DEFAULT_DATABASE = "otel_usage"

_TEXT = "text/plain; charset=UTF-8"
_STATUS_BY_CODE = {
    **dict.fromkeys(
        (6, 26, 27, 32, 33, 36, 38, 41, 42, 43, 53, 62, 69, 70, 72, 117, 271, 306, 456, 457, 636), 400
    ),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 81, 115), 404),
    **dict.fromkeys((192, 193, 194, 516), 401),
    **dict.fromkeys((164, 291, 452, 497), 403),
    **dict.fromkeys((48, 344), 501),
    **dict.fromkeys((202, 373), 503),
    159: 408,
}
_CONTENT_TYPES = (
    ("JSONEachRow", "application/x-ndjson; charset=UTF-8"),
    ("JSONCompactEachRow", "application/x-ndjson; charset=UTF-8"),
    ("JSON", "application/json; charset=UTF-8"),
    ("CSV", "text/csv; charset=UTF-8; header=absent"),
    ("TabSeparated", "text/tab-separated-values; charset=UTF-8"),
    ("TSV", "text/tab-separated-values; charset=UTF-8"),
)
_BINARY_FORMATS = (
    "Native",
    "RowBinary",
    "Arrow",
    "Parquet",
    "ORC",
    "Avro",
    "BSON",
    "MsgPack",
    "Npy",
    "Protobuf",
)


class _Result(NamedTuple):
    answer: Answer
    verdict: Verdict
    body: bytes
    content_encoding: str


class ClickHouseHttp:
    """Answers the requests of one port.

    Args:
        engine: that runs the statements.
        guard: that says which.
        sessions: of this engine.
        executor: whose threads wait for the engine.
        reader: that bounds the bodies.
    """

    def __init__(
        self, engine: Engine, guard: SqlGuard, sessions: Sessions, executor: Executor, reader: BodyReader
    ) -> None:
        self._engine = engine
        self._guard = guard
        self._sessions = sessions
        self._executor = executor
        self._reader = reader
        with engine.handle() as handle:
            row = handle.run("SELECT version(), timezone(), hostName()").body.decode().strip()
        self.version, self._timezone, self._server_name = row.split("\t")
        self.app = Starlette(
            routes=[
                Route("/ping", self._ping),
                Route("/replicas_status", self._ping),
                Route("/healthz", self._health),
                Route("/{path:path}", self._query, methods=["GET", "POST", "HEAD"]),
            ]
        )

    async def _ping(self, request: Request) -> Response:
        return Response("Ok.\n", media_type=_TEXT)

    async def _health(self, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._executor, self._touch_engine)
        except EngineError:
            return Response(json.dumps({"status": "failing"}), 503, media_type="application/json")
        body = {"status": "ok", "version": self.version, "database": DEFAULT_DATABASE}
        return Response(json.dumps(body), media_type="application/json")

    def _touch_engine(self) -> None:
        with self._engine.handle() as handle:
            handle.run("SELECT 1")

    async def _query(self, request: Request) -> Response:
        query_id = str(uuid.uuid4())
        in_blocks = wants_blocks(request.scope["query_string"])
        try:
            if request.url.path not in ("/", "/query"):
                return self._error(f"There is nothing at {request.url.path[:100]!a}", 0, query_id, status=404)
            asked, body = await self._read(request)
            query_id = asked.query_id or query_id
            if not asked.query and not body:
                # What a load balancer or a curious browser sends.
                return Response("Ok.\n", media_type=_TEXT)
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(
                self._executor, self._run, asked, body, request.headers.get("accept-encoding", "")
            )
            return self._answer(result, asked, query_id)
        except ClientDisconnect:
            return Response(status_code=400)
        except BodyError as error:
            return self._error(str(error), error.code, query_id, status=error.status, in_blocks=in_blocks)
        except (SqlRefused, EngineError) as error:
            return self._error(str(error), error.code, query_id, in_blocks=in_blocks)
        except Exception as error:
            # The places without the error's text, which could show the statement.
            places = "".join(traceback.format_tb(error.__traceback__))
            logger.error("A request failed by a mistake in the server: %s\n%s", type(error).__name__, places)
            message = "Internal error of the server, see its log"
            return self._error(message, 1001, query_id, in_blocks=in_blocks)

    async def _read(self, request: Request) -> tuple[QueryRequest, bytes]:
        """Return what the request asks for, and its body without encodings."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = b""
        if request.method == "POST":
            packed = await self._reader.read(request.stream(), headers.get("content-length"))
            encoding = headers.get("content-encoding", "")
            body = await asyncio.to_thread(self._reader.unpack, packed, encoding) if encoding else packed
        query_string = request.scope["query_string"]
        if headers.get("content-type", "").startswith("multipart/form-data"):
            return QueryRequest.read(request.method, query_string, headers, body), b""
        asked = QueryRequest.read(request.method, query_string, headers)
        if asked.decompress and body:
            body = await asyncio.to_thread(self._reader.unpack, body, "", native_blocks=True)
        return asked, body

    def _run(self, asked: QueryRequest, body: bytes, accepted: str) -> _Result:
        """Run the statement; in a thread of the executor."""
        statement = split_statement(asked.query, body)
        verdict = self._accept(statement, asked)
        settings = dict(asked.settings)
        if isinstance(statement, DataInsert) and statement.literals_only:
            settings["input_format_values_interpret_expressions"] = "0"
        if asked.reads_only and not asked.session_id:
            settings["readonly"] = "2"
        with self._sessions.handle(
            asked.session_id,
            keeps_state=verdict.keeps_state,
            database=asked.database,
            settings=settings,
            timeout_seconds=asked.session_seconds,
        ) as handle:
            if isinstance(statement, DataInsert):
                with self._engine.bodies.file_of(statement.parts, statement.size) as path:
                    answer = handle.run(statement.sql_with(path), asked.default_format, asked.parameters)
            else:
                answer = handle.run(statement.sql, asked.default_format, asked.parameters)
        if asked.close_session:
            self._sessions.end(asked.session_id)
        body = _for_protocol(
            answer.body, verdict.output_format or asked.default_format, asked.protocol_version
        )
        if asked.compress:
            return _Result(answer, verdict, pack_blocks(body), "")
        packed, encoding = pack(body, accepted) if asked.compress_response and body else (body, "")
        return _Result(answer, verdict, packed, encoding)

    def _accept(self, statement: SqlText | DataInsert, asked: QueryRequest) -> Verdict:
        """Return the verdict of the guard on the statement and all that comes with it."""
        for name in asked.settings:
            self._guard.check_setting(name)
        self._guard.check_format(asked.default_format)
        if isinstance(statement, DataInsert) and statement.is_plain:
            verdict = Verdict("INSERT", False, "", (), False)
        else:
            verdict = self._guard.check(statement.sql)
            self._guard.check_identifiers(verdict, asked.parameters)
        if asked.reads_only and not verdict.reads:
            raise SqlRefused(f"{verdict.kind} is not accepted by GET or readonly, which only read", code=164)
        return verdict

    def _answer(self, result: _Result, asked: QueryRequest, query_id: str) -> Response:
        answer = result.answer
        headers = self._headers(query_id)
        headers["X-ClickHouse-Summary"] = json.dumps(_summary(answer))
        content_type = _TEXT
        if result.verdict.reads:
            output_format = result.verdict.output_format or asked.default_format
            headers["X-ClickHouse-Format"] = output_format
            content_type = _content_type(output_format)
        if result.content_encoding:
            headers["Content-Encoding"] = result.content_encoding
        return Response(result.body, headers={**headers, "Content-Type": content_type})

    def _error(
        self, message: str, code: int, query_id: str, *, status: int = 0, in_blocks: bool = False
    ) -> Response:
        status = status or _STATUS_BY_CODE.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)
        text = message if message.startswith("Code: ") else f"Code: {code}. DB::Exception: {message}"
        headers = self._headers(query_id)
        headers["X-ClickHouse-Exception-Code"] = str(code)
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = "1"
        body = f"{text} (version {self.version})\n".encode("utf-8", "replace")
        # clickhouse-go reads blocks only, and would show an error of its own instead of this one.
        body = pack_blocks(body) if in_blocks else body
        return Response(body, status, headers={**headers, "Content-Type": _TEXT})

    def _headers(self, query_id: str) -> dict[str, str]:
        return {
            # A client's own id comes back to it, but never a line break in a header.
            "X-ClickHouse-Query-Id": query_id.encode("ascii", "replace")
            .decode()
            .translate(_WITHOUT_CONTROLS)[:200],
            "X-ClickHouse-Timezone": self._timezone,
            "X-ClickHouse-Server-Display-Name": self._server_name,
        }


_WITHOUT_CONTROLS: Mapping[int, None] = dict.fromkeys([*range(32), 127])


def _for_protocol(body: bytes, output_format: str, version: int) -> bytes:
    """Return a result as a client of that version of the TCP protocol reads it."""
    if output_format != "Native" or version < FRAMED_FROM:
        return body
    try:
        return framed(body)
    except UnknownType as error:
        raise SqlRefused(
            f"A column of type {str(error)[:200]} cannot be sent in Native to a client of protocol version {version}. "
            "Turn it into text with toString, or into a plain value with finalizeAggregation",
            code=48,
        ) from None


def _summary(answer: Answer) -> dict[str, str]:
    return {
        "read_rows": str(answer.read_rows),
        "read_bytes": str(answer.read_bytes),
        "written_rows": str(answer.written_rows),
        "written_bytes": "0",
        "total_rows_to_read": "0",
        "result_rows": "0",
        "result_bytes": str(len(answer.body)),
        "elapsed_ns": str(int(answer.elapsed_seconds * 1e9)),
    }


def _content_type(output_format: str) -> str:
    if output_format.startswith(_BINARY_FORMATS):
        return "application/octet-stream"
    return next((type_ for prefix, type_ in _CONTENT_TYPES if output_format.startswith(prefix)), _TEXT)
