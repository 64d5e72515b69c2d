"""ClickHouse's HTTP interface: a request becomes one statement for the engine.

Kept: `query` in the URL and in the body, multipart forms, `database`, `default_format`, settings and
`param_*` as URL parameters, status codes and headers. Not kept, and refused rather than ignored:
sessions, roles, compression, external tables. A result is sent when it is complete, so an error
always has its own status code.
"""

import hmac
import io
import json
import logging
import os
import re
import threading
import uuid
from base64 import b64decode
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

import statement
from engine import VERSION, Engine, QueryError, Request

log = logging.getLogger("embedded-clickhouse")

# src/Server/HTTP/exceptionCodeToHTTPStatus.cpp of ClickHouse; what is not here is 500.
STATUS = {
    401: "REQUIRED_PASSWORD",
    403: "UNKNOWN_USER WRONG_PASSWORD AUTHENTICATION_FAILED SET_NON_GRANTED_ROLE ACCESS_DENIED",
    400: "BAD_ARGUMENTS CANNOT_COMPILE_REGEXP CANNOT_PARSE_TEXT CANNOT_PARSE_ESCAPE_SEQUENCE"
    " CANNOT_PARSE_QUOTED_STRING CANNOT_PARSE_DATE CANNOT_PARSE_DATETIME CANNOT_PARSE_NUMBER"
    " CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING CANNOT_PARSE_IPV4 CANNOT_PARSE_IPV6"
    " CANNOT_PARSE_INPUT_ASSERTION_FAILED CANNOT_PARSE_UUID DUPLICATE_COLUMN ILLEGAL_COLUMN"
    " UNKNOWN_ELEMENT_IN_AST UNKNOWN_TYPE_OF_AST_NODE THERE_IS_NO_COLUMN TOO_DEEP_AST TOO_BIG_AST"
    " UNEXPECTED_AST_STRUCTURE SYNTAX_ERROR INCORRECT_DATA TYPE_MISMATCH VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    404: "UNKNOWN_TABLE UNKNOWN_FUNCTION UNKNOWN_IDENTIFIER UNKNOWN_TYPE UNKNOWN_STORAGE UNKNOWN_DATABASE"
    " UNKNOWN_SETTING UNKNOWN_DIRECTION_OF_SORTING UNKNOWN_AGGREGATE_FUNCTION UNKNOWN_FORMAT"
    " UNKNOWN_DATABASE_ENGINE UNKNOWN_TYPE_OF_QUERY UNKNOWN_ROLE",
    408: "TIMEOUT_EXCEEDED",
    411: "HTTP_LENGTH_REQUIRED",
    413: "QUERY_IS_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    501: "NOT_IMPLEMENTED",
    503: "SOCKET_TIMEOUT CANNOT_OPEN_FILE CANNOT_SCHEDULE_TASK",
}
STATUS = {name: status for status, names in STATUS.items() for name in names.split()}

# URL parameters that are no settings. The refused ones would change the answer if they were ignored.
IGNORED = {"user", "password", "quota_key", "buffer_size", "wait_end_of_query", "stacktrace", "client_protocol_version"}
REFUSED = {"session_id", "session_timeout", "session_check", "close_session", "role"}

CONTENT_TYPES = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
}

_COPY = 1 << 18


class Cut(Exception):
    """The client went away in the middle of its body: nothing of it may be stored."""


class Body:
    """A request's body, chunked or with a length, never longer than the limit."""

    def __init__(self, source, headers, limit: int):
        self._source, self._limit = source, limit
        self._chunked = headers.get("Transfer-Encoding", "").lower() == "chunked"
        length = headers.get("Content-Length", "0")
        if not length.isdigit():
            raise QueryError.of(36, "BAD_ARGUMENTS", f"Content-Length is not a number: {length!r}")
        # Bytes left of the body, or of the present chunk.
        self._left = 0 if self._chunked else int(length)
        self.finished = not self._chunked and self._left == 0
        self._total = self._left

    def _too_large(self) -> QueryError:
        return QueryError.of(229, "QUERY_IS_TOO_LARGE", f"Request body is larger than {self._limit} bytes (--max-body-bytes).")

    def read(self) -> bytes:
        """The next piece, b"" at the end."""
        if self.finished:
            return b""
        if self._total > self._limit:
            raise self._too_large()
        if self._chunked and self._left == 0 and not self._next_chunk():
            return b""
        piece = self._source.read(min(self._left, _COPY))
        if not piece:
            raise Cut
        self._left -= len(piece)
        if self._chunked:
            if self._left == 0 and self._source.readline(8) not in (b"\r\n", b"\n"):
                raise Cut
        elif self._left == 0:
            self.finished = True
        return piece

    def _next_chunk(self) -> bool:
        size = self._source.readline(1024).split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", size):
            raise Cut
        self._left = int(size, 16)
        self._total += self._left
        if self._total > self._limit:
            raise self._too_large()
        if self._left == 0:
            # Trailers.
            while self._source.readline(8192).strip():
                pass
            self.finished = True
        return not self.finished

    def read_all(self) -> bytes:
        return b"".join(iter(self.read, b""))

    def discard(self, limit: int = 16 << 20):
        """Reads what is on its way, so that closing does not reset the connection under our answer."""
        while limit > 0 and not self.finished and (piece := self._source.read1(_COPY)):
            limit -= len(piece)


class Server:
    """What every connection shares, and the count of requests that must be answered before the end."""

    def __init__(self, engine: Engine, max_body: int, user: str, password: str | None):
        self.engine, self.max_body, self.user, self.password = engine, max_body, user, password
        self._changed = threading.Condition()
        self._running = 0
        self.draining = False

    def enter(self) -> bool:
        with self._changed:
            self._running += not self.draining
            return not self.draining

    def leave(self):
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def drain(self, seconds: float) -> int:
        """Refuses new requests, waits for the running ones; gives how many were not finished."""
        with self._changed:
            self.draining = True
            self._changed.wait_for(lambda: self._running == 0, seconds)
            return self._running


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "embedded-clickhouse"
    # Header and result leave in two writes; Nagle's algorithm would hold the second back for 40 ms.
    disable_nagle_algorithm = True
    timeout = 300
    shared: Server  # set by server.py

    def do_GET(self):
        path = urlsplit(self.path)
        if path.path == "/ping" or (path.path == "/" and not path.query):
            self._answer(200, b"Ok.\n")
        else:
            self._query(readonly=True)

    def do_POST(self):
        self._query(readonly=False)

    def log_message(self, format, *values):
        log.debug(format, *values)

    def _query(self, readonly: bool):
        if not self.shared.enter():
            self._close(503, b"the server is shutting down\n")
            return
        body = None
        try:
            url = urlsplit(self.path)
            body = Body(self.rfile, self.headers, self.shared.max_body)
            if url.path != "/":
                self._close(404, f"There is no handle {url.path}\nUse / with a query, or /ping\n".encode(), body=body)
                return
            self._run(parse_qsl(url.query, keep_blank_values=True, errors="strict"), body, readonly)
        except QueryError as error:
            self._refuse(error, body)
        except UnicodeDecodeError as error:
            self._refuse(QueryError.of(62, "SYNTAX_ERROR", f"The query is not UTF-8: {error}."), body)
        except Cut:
            log.warning("a client went away in the middle of a request; nothing of it was run")
            self.close_connection = True
        finally:
            self.shared.leave()

    def _run(self, url: list[tuple[str, str]], body: Body, readonly: bool):
        values = dict(url)
        self._authenticate(values)
        if values.get("compress", "0") != "0" or values.get("decompress", "0") != "0":
            raise QueryError.of(48, "NOT_IMPLEMENTED", "compression is not supported here: turn it off in the client.")
        encoding = self.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise QueryError.of(48, "NOT_IMPLEMENTED", f"Content-Encoding {encoding!r} is not supported here.")
        if refused := REFUSED & values.keys():
            raise QueryError.of(48, "NOT_IMPLEMENTED", f"URL parameter {min(refused)!r} is not supported here.")

        content_type = self.headers.get("Content-Type", "")
        if content_type.startswith("multipart/form-data"):
            values |= _multipart(content_type, body.read_all())
        text = values.pop("query", "").encode()
        if text:
            text += b"\n"
        # A statement in the URL that takes data leaves the body untouched, so that it can be copied piece by piece.
        parsed = statement.parse(text)
        if not isinstance(parsed, statement.Insert):
            text += body.read_all()
            parsed = statement.parse(text)

        request = Request(
            sql="",
            format=values.pop("default_format", "TabSeparated"),
            database=values.pop("database", self.headers.get("X-ClickHouse-Database", "")),
            parameters={name[6:]: value for name, value in values.items() if name.startswith("param_")},
            readonly=readonly,
        )
        query_id = values.pop("query_id", "") or str(uuid.uuid4())
        request.settings = {
            name: value
            for name, value in values.items()
            if name not in IGNORED and name not in ("compress", "decompress") and not name.startswith("param_")
        }
        if isinstance(parsed, statement.Insert):
            result = self._insert(request, parsed, text[parsed.data :], body)
        else:
            if parsed.file:
                raise QueryError.of(116, "UNKNOWN_TYPE_OF_QUERY", f"{parsed.file} is for clients, not for a server.")
            request.sql = text.decode()
            if not request.sql.strip():
                raise QueryError.of(62, "SYNTAX_ERROR", "Empty query.")
            result = self.shared.engine.run(request)
        self._result(result, getattr(parsed, "format", None) or request.format, query_id)

    def _insert(self, request: Request, parsed: statement.Insert, first: bytes, body: Body):
        # A file without a name: no size limit of /dev/shm, and nothing to clean up after a crash.
        with io.FileIO(os.memfd_create("insert"), "w") as file:
            file.write(first)
            while piece := body.read():
                file.write(piece)
            request.sql = parsed.reading_from(f"/proc/self/fd/{file.fileno()}")
            return self.shared.engine.run(request)

    def _authenticate(self, values: dict[str, str]):
        user = values.get("user") or self.headers.get("X-ClickHouse-User")
        password = values.get("password") or self.headers.get("X-ClickHouse-Key")
        kind, _, credentials = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                user, _, password = b64decode(credentials).decode().partition(":")
            except ValueError:
                user = password = ""
        user = user or "default"
        expected = self.shared.password or ""
        right = hmac.compare_digest((password or "").encode(), expected.encode())
        if user != self.shared.user or not right:
            raise QueryError.of(
                516,
                "AUTHENTICATION_FAILED",
                f"{user}: Authentication failed: password is incorrect, or there is no user with such name.",
            )

    def _result(self, result, format: str, query_id: str):
        summary = {
            "read_rows": str(result.rows_read()),
            "read_bytes": str(result.bytes_read()),
            "written_rows": str(result.rows_written()),
            "written_bytes": str(result.bytes_written()),
            "elapsed_ns": str(int(result.elapsed() * 1e9)),
        }
        headers = {
            "Content-Type": CONTENT_TYPES.get(format, "application/octet-stream"),
            "X-ClickHouse-Format": format,
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Summary": json.dumps(summary),
        }
        self._answer(200, result.get_memview().view() if result.size() else b"", headers)

    def _refuse(self, error: QueryError, body: Body | None):
        log.info("refused: %s", str(error)[:1000])
        status, text = STATUS.get(error.name, 500), f"{error} (version {VERSION} (embedded))\n".encode()
        headers = {"X-ClickHouse-Exception-Code": str(error.code)}
        if body is not None and body.finished:
            self._answer(status, text, headers)
        else:
            self._close(status, text, headers, body)

    def _close(self, status: int, content: bytes, headers: dict[str, str] | None = None, body: Body | None = None):
        """Answers before the body was read, so nothing more can come over this connection."""
        self.close_connection = True
        self._answer(status, content, headers)
        if body is not None:
            self.connection.settimeout(2)
            try:
                body.discard()
            except OSError:
                pass

    def _answer(self, status: int, content, headers: dict[str, str] | None = None):
        self.close_connection = self.close_connection or self.shared.draining
        self.send_response(status)
        for name, value in {"Content-Type": "text/plain; charset=UTF-8", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


def _multipart(content_type: str, body: bytes) -> dict[str, str]:
    """Fields of a form: how clients send long parameters. Files would be external tables."""
    boundary = re.search(r'boundary="?([^";]+)"?', content_type)
    if not boundary:
        raise QueryError.of(36, "BAD_ARGUMENTS", "The multipart form has no boundary.")
    fields = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode())[1:]:
        if part.startswith(b"--"):
            return fields
        head, _, value = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        if name is None or b"filename=" in head:
            raise QueryError.of(48, "NOT_IMPLEMENTED", "External tables are not supported here.")
        fields[name[1].decode()] = value.decode()
    raise QueryError.of(36, "BAD_ARGUMENTS", "The multipart form does not end.")
