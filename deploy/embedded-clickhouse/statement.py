"""Reads just enough SQL to know where a statement ends and the data of an INSERT begin.

ClickHouse's HTTP interface takes statement and data as one text: `INSERT INTO t FORMAT RowBinary`,
a line end, bytes. chDB's parser wants the data in a file, so the two are cut apart here. Only the
shape at parenthesis depth 0 is looked at; whether the SQL is right is the engine's business.
"""

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"""(?P<space>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)
       |(?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
       |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
       |(?P<open>[(\[{])
       |(?P<close>[)\]}])
       |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Insert:
    """An INSERT whose rows come after the statement."""

    head: bytes  # INSERT INTO t (a, b)
    settings: bytes  # SETTINGS x = 1, or nothing
    format: str
    data: int  # where the data begin in the text that was parsed

    def reading_from(self, path: str) -> str:
        """The same statement with its rows in a file."""
        head, settings = self.head.decode(), self.settings.decode()
        return f"{head} FROM INFILE '{path}' {settings} FORMAT {self.format}"


@dataclass(frozen=True)
class Other:
    """Any other statement. `format` is its FORMAT clause, `file` a clause that names a file."""

    format: str | None
    file: str | None


def parse(text: bytes) -> Insert | Other:
    tokens = _top_level(text)
    first = next(tokens, None)
    if first is None or _word(first) != "INSERT":
        return _other(text)
    name_may_follow = True  # a table may be called `format`: the word after INTO is never a clause
    settings_at = None
    for token in tokens:
        word = _word(token)
        if name_may_follow and word in ("INTO", "TABLE", "FUNCTION"):
            continue
        if name_may_follow:
            name_may_follow = False
            continue
        if text[token.start() - 1 : token.start()] == b".":
            continue
        if word == "SETTINGS" and settings_at is None:
            settings_at = token.start()
        elif word == "FORMAT" and (name := next(tokens, None)) is not None and _word(name):
            return _insert(text, token.start(), settings_at, name.group().decode(), _after_format(text, name.end()))
        elif word == "VALUES":
            return _insert(text, token.start(), settings_at, "Values", token.end())
        elif word in ("SELECT", "WITH", "WATCH", "FROM"):
            break
    return _other(text)


def _top_level(text: bytes):
    """Words, quoted names and punctuation outside parentheses."""
    depth = 0
    # Not `finditer` to the end: what follows the statement is data, maybe megabytes of them.
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
        elif depth == 0 and kind != "space":
            yield token


def _word(token: re.Match) -> str:
    return token.group().decode().upper() if token.group("word") else ""


def _after_format(text: bytes, at: int) -> int:
    """As ClickHouse: blanks and one line end belong to the statement, the next byte is data."""
    while text[at : at + 1] in (b" ", b"\t", b"\f"):
        at += 1
    if text[at : at + 1] == b"\r":
        at += 1
    if text[at : at + 1] == b"\n":
        at += 1
    return at


def _insert(text: bytes, clause: int, settings_at: int | None, format: str, data: int) -> Insert:
    head = text[: clause if settings_at is None else settings_at].rstrip()
    settings = b"" if settings_at is None else text[settings_at:clause].rstrip()
    return Insert(head, settings, format, data)


def _other(text: bytes) -> Other:
    format = file = None
    previous = ""
    for token in _top_level(text):
        word = _word(token)
        if previous == "FORMAT" and word:
            format = token.group().decode()
        if previous in ("INTO", "FROM") and word in ("OUTFILE", "INFILE"):
            file = f"{previous} {word}"
        previous = word
    return Other(format, file)
