"""What does a process do that reads rows for another, in that one's snapshot?

It is started by `row_workers`, asked through standard input and answers on standard output. It has
neither Django nor any model: it takes statements, and gives bytes.
"""

from __future__ import annotations

import json
import signal
import struct
import sys
from collections.abc import Sequence
from typing import IO, Any

# Rows there are, whole lines among them, bytes that follow; FAILED and 0 before an error's text.
HEADER = struct.Struct(">qqq")
FAILED = -1


def main() -> None:
    # Ctrl-C is for the process that asks; when that one is gone, so is standard input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    first = requests.readline()
    if not first:
        return
    try:
        connection = _opened(json.loads(first))
    except Exception as error:
        _answer(answers, FAILED, 0, str(error).encode())
        raise
    _answer(answers, 0, 0, b"")
    for line in requests:
        sql, parameters = json.loads(line)
        try:
            found, whole, text = _asked(connection, sql, parameters)
        except Exception as error:
            _answer(answers, FAILED, 0, str(error).encode())
            raise
        _answer(answers, found, whole, text)


def _opened(first: dict[str, Any]) -> Any:
    """A connection in the snapshot, with the settings of the one that asks."""
    import psycopg

    connection = psycopg.connect(**first["connect"], autocommit=True)
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    for statement in first["statements"]:
        connection.execute(statement)
    for name, value in first["settings"].items():
        connection.execute("SELECT set_config(%s, %s, true)", (name, value))
    return connection


def _asked(connection: Any, sql: str, parameters: Sequence[Any]) -> tuple[int, int, bytes]:
    result = connection.execute(sql, parameters).pgresult
    found, whole, text = (result.get_value(0, place) for place in range(3))
    return int(found), int(whole), text or b""


def _answer(answers: IO[bytes], found: int, whole: int, text: bytes) -> None:
    answers.write(HEADER.pack(found, whole, len(text)))
    answers.write(text)
    answers.flush()


if __name__ == "__main__":
    main()
