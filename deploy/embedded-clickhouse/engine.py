"""The ClickHouse engine (chDB) behind a small interface: run one statement, get its bytes or its error.

Every statement has a chDB connection of its own (0.15 ms), so settings and the current database of
one request never reach another. One process may hold a data folder; a lock file says so.
"""

import fcntl
import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path

# `chdb` prints nothing, but takes a second: it loads the whole engine.
from chdb import _chdb, engine_version as VERSION

_ERROR = re.compile(r"Code: (\d+)\. ")
_ERROR_NAME = re.compile(r"\(([A-Z][A-Z0-9_]+)\)[^()]*$")
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


class QueryError(Exception):
    """What ClickHouse answers instead of rows: a number, its name and a text."""

    def __init__(self, code: int, name: str, message: str):
        super().__init__(message)
        self.code, self.name = code, name

    @classmethod
    def of(cls, code: int, name: str, text: str) -> "QueryError":
        return cls(code, name, f"Code: {code}. DB::Exception: {text} ({name})")

    @classmethod
    def from_engine(cls, error: Exception) -> "QueryError":
        text = str(error)
        code, name = _ERROR.search(text), _ERROR_NAME.search(text)
        return cls(int(code[1]) if code else 1002, name[1] if name else "UNKNOWN_EXCEPTION", text)


class PathInUse(Exception):
    pass


@dataclass
class Request:
    sql: str
    format: str = "TabSeparated"
    database: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    readonly: bool = False


class Engine:
    def __init__(self, path: Path, max_queries: int):
        path.mkdir(parents=True, exist_ok=True)
        self._lock = open(path / "embedded-clickhouse.lock", "a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            raise PathInUse(f"`{path}` is in use by process {self._lock.read().strip() or 'unknown'}") from None
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()
        self._path = str(path)
        self._max_queries = max_queries
        self._free = threading.BoundedSemaphore(max_queries)
        # The engine lives as long as one connection does.
        self._anchor = _chdb.connect(self._path)

    def run(self, request: Request):
        """The result of chDB: `get_memview()`, `rows_read()` and so on. Raises QueryError."""
        if not self._free.acquire(blocking=False):
            raise QueryError.of(
                202,
                "TOO_MANY_SIMULTANEOUS_QUERIES",
                f"Too many simultaneous queries. Maximum: {self._max_queries} (--max-queries).",
            )
        try:
            connection = _chdb.connect(self._path)
            try:
                return _run(connection, request)
            except RuntimeError as error:
                raise QueryError.from_engine(error) from None
            finally:
                connection.close()
        finally:
            self._free.release()

    def close(self):
        self._anchor.close()
        self._lock.close()


def _run(connection, request: Request):
    # chDB would run them all; ClickHouse over HTTP refuses.
    if connection.classify_query(request.sql)["statement_count"] > 1:
        raise QueryError.of(62, "SYNTAX_ERROR", "Multi-statements are not allowed.")
    if request.database:
        connection.query("USE " + _quoted(request.database, "`"))
    # clickhouse-local's habit, on in chDB: a server does not take `1 + 1` for a query.
    connection.query("SET implicit_select = 0")
    if request.settings:
        connection.query("SET " + ", ".join(_setting(*setting) for setting in request.settings.items()))
    if request.readonly:
        connection.query("SET readonly = 2")
    return connection.query(request.sql, request.format, params=request.parameters)


def _setting(name: str, value: str) -> str:
    if not _SETTING.fullmatch(name):
        raise QueryError.of(115, "UNKNOWN_SETTING", f"Unknown setting {_quoted(name, chr(39))}.")
    return f"{name} = {_quoted(value, chr(39))}"


def _quoted(text: str, quote: str) -> str:
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote
