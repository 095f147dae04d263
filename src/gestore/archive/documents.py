"""How do manifest, rows and closing line stand in a text, and how are they found in it again?

`.json` is one object with a row a line inside `objects`; `.jsonl` one JSON value a line. Reading
takes any layout of the same JSON, a piece at a time, and never holds more than one value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeAlias

from ..errors import ArchiveCutOff, ArchiveDamaged, NotAnArchive
from ..rows import ArchivedRow, JsonValue

# One value of this many characters is no row: it is an attack or an accident.
MAX_VALUE_CHARACTERS = 512 * 1024 * 1024
# Longer than any literal, escape or rest of a number.
_TOKEN_CHARACTERS = 32

Write: TypeAlias = "Callable[[str], None]"
to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_decoder = json.JSONDecoder()
_HALF = re.compile("[\ud800-\udfff]")


class Layout(Enum):
    """The two ways the same values are laid out."""

    JSON = ".json"
    JSON_LINES = ".jsonl"


def row_text(row: ArchivedRow) -> str:
    """A row as one line of JSON, without its end."""
    value: dict[str, JsonValue] = {"model": row.model, "pk": row.pk, "fields": row.fields}
    if row.is_shared:
        value["shared"] = True
    if row.dangling:
        value["dangling"] = list(row.dangling)
    if row.changed:
        value["changed"] = list(row.changed)
    return to_json(value)


def pieces(
    layout: Layout,
    manifest: Mapping[str, JsonValue],
    blocks: Iterable[bytes],
    closing: Callable[[], Mapping[str, JsonValue]],
) -> Iterator[tuple[bytes, bool]]:
    """The document in pieces, each with whether the digest covers it. `blocks` are rows, one a
    line, without the last newline. `closing` is asked when every other piece has been taken."""
    if layout is Layout.JSON_LINES:
        yield utf8(to_json(manifest) + "\n"), True
        for block in blocks:
            yield block, True
            yield b"\n", True
        yield utf8(to_json({"closing": closing()}) + "\n"), False
        return
    opening = ",\n".join(f"{to_json(name)}: {to_json(value)}" for name, value in manifest.items())
    yield utf8(f'{{{opening},\n"objects": [\n'), True
    between = b""
    for block in blocks:
        # JSON has no newline inside a value.
        yield between + block.replace(b"\n", b",\n"), True
        between = b",\n"
    yield (b"\n],\n" if between else b"],\n"), True
    yield utf8(f'"closing": {to_json(closing())}}}\n'), False


def utf8(text: str) -> bytes:
    """JSON as bytes."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair has no UTF-8; JSON's own escape carries it.
        return _HALF.sub(lambda half: f"\\u{ord(half[0]):04x}", text).encode()


def is_closing(line: bytes) -> bool:
    """Whether a line is the closing one, which its own digest cannot cover."""
    return line.startswith((b'"closing"', b'{"closing"'))


class Part(Enum):
    """What `parse` finds."""

    MEMBERS = "members"
    ROW = "row"
    LINES = "lines"
    CLOSING = "closing"


Found: TypeAlias = "tuple[Part, Any]"


@dataclass(slots=True)
class Lines:
    """Rows that stood a line each, as an exporter writes them: their members as columns. `marks`
    are the members that few rows have, by place; `width` is how long the lines were."""

    models: list[str]
    keys: list[JsonValue]
    fields: list[dict[str, JsonValue]]
    marks: dict[int, dict[str, Any]]
    width: int


def parse(name: str, pieces: Iterator[str]) -> Iterator[Found]:
    """The members before the rows, the rows, and the closing line's value if there is one.

    `pieces` are parts of the text in order, cut anywhere. `name` is the file's, for errors. Rows
    that stand a line each come many at a time, as `Lines`; all others come alone.
    """
    text = _Text(name, pieces)
    try:
        yield from _parse(text)
    except RecursionError as error:
        raise ArchiveDamaged(f"{name} is damaged: its values are nested too deeply.") from error


def _parse(text: _Text) -> Iterator[Found]:
    if text.peek() != "{":
        reason = "it is no JSON object" if text.peek() else "it is empty"
        raise NotAnArchive(f"{text.name} is not an archive of Gestore: {reason}.")
    yield from _members(text)


def _rows_of_lines(text: _Text) -> Iterator[Found]:
    while text.peek():
        if lines := text.take_lines("\n"):
            yield Part.LINES, lines
            continue
        value = text.take()
        if not isinstance(value, dict):
            raise ArchiveDamaged(f"{text.name} is damaged: line {text.line} is no row.")
        if "closing" in value:
            yield Part.CLOSING, value["closing"]
            text.expect_end()
            return
        yield Part.ROW, value


def _members(text: _Text) -> Iterator[Found]:
    members: dict[str, Any] = {}
    seen: set[str] = set()
    text.skip("{")
    while text.peek() != "}":
        key = _new_name(text, seen)
        text.skip(":")
        if key == "objects":
            yield Part.MEMBERS, members
            yield from _objects(text)
        elif key == "closing":
            yield Part.CLOSING, text.take()
        else:
            members[key] = text.take()
        text.separate("}")
    text.skip("}")
    if "objects" not in seen and "format_version" in members:
        yield Part.MEMBERS, members
        yield from _rows_of_lines(text)
        return
    text.expect_end()
    if "objects" not in seen:
        raise NotAnArchive(f"{text.name} is not an archive of Gestore: it has no objects.")


def _new_name(text: _Text, seen: set[str]) -> str:
    """A member's name. One that comes twice, or rows after the closing line, would hide rows."""
    name = text.take()
    if not isinstance(name, str) or name in seen or (name == "objects" and "closing" in seen):
        raise text.damaged()
    seen.add(name)
    return name


def _objects(text: _Text) -> Iterator[Found]:
    text.skip("[")
    while text.peek() != "]":
        if lines := text.take_lines(",\n"):
            yield Part.LINES, lines
            continue
        value = text.take()
        if not isinstance(value, dict):
            raise ArchiveDamaged(f"{text.name} is damaged: line {text.line} is no row.")
        yield Part.ROW, value
        text.separate("]")
    text.skip("]")


def _is_open(error: Exception) -> bool:
    return str(error).startswith("Unterminated string")


class _Text:
    """A JSON text that comes in pieces: values are decoded as soon as they are whole."""

    def __init__(self, name: str, pieces: Iterator[str]) -> None:
        self.name = name
        self.line = 1
        self._pieces = pieces
        self._buffer = ""
        self._place = 0
        # How much of the buffer is to be taken value by value.
        self._careful = 0

    def take_lines(self, separator: str) -> Lines | None:
        """The rows of the whole lines that are there, each ended by the separator; None where a
        row, or anything else, is to be taken alone."""
        buffer, place = self._buffer, self._place
        end = buffer.rfind("}" + separator, place) + 1
        if end <= place or place < self._careful:
            return None
        last = buffer.rfind("\n", place, end) + 1
        if buffer.startswith('{"closing"', last):
            # The last line ends here: what is before it ends with a separator, too.
            end = last - len(separator)
        if end <= place:
            return None
        lines = _lines_of(buffer[place:end], separator)
        if lines is None:
            self._careful = end
            return None
        self._place = end + len(separator)
        return lines

    def _more(self, wanted: int = 0) -> bool:
        """Read until `wanted` characters are there, or one piece; False at the end."""
        rest = self._buffer[self._place :]
        size, parts = len(rest), [rest]
        for piece in self._pieces:
            parts.append(piece)
            size += len(piece)
            if size > MAX_VALUE_CHARACTERS:
                raise ArchiveDamaged(f"{self.name} is damaged: line {self.line} does not end.")
            if size >= wanted:
                break
        if len(parts) == 1:
            return False
        self.line += self._buffer.count("\n", 0, self._place)
        # Joined once: a value of many pieces would be copied as often.
        self._careful = max(0, self._careful - self._place)
        self._buffer, self._place = "".join(parts), 0
        return True

    def peek(self) -> str:
        """The next character that is no blank; "" at the end."""
        while True:
            buffer, place = self._buffer, self._place
            while place < len(buffer) and buffer[place] in " \t\r\n\ufeff":
                place += 1
            self._place = place
            if place < len(buffer):
                return buffer[place]
            if not self._more():
                return ""

    def skip(self, character: str) -> None:
        found = self.peek()
        if not found:
            raise self.cut_off()
        if found != character:
            raise self.damaged()
        self._place += 1

    def separate(self, end: str) -> None:
        """Take the comma after an item, unless the end follows."""
        found = self.peek()
        if not found:
            raise self.cut_off()
        if found != end:
            self.skip(",")

    def take(self) -> Any:
        """The next JSON value."""
        if not self.peek():
            raise self.cut_off()
        # While a value is not whole, twice as much is read before it is tried again.
        while True:
            try:
                value, end = _decoder.raw_decode(self._buffer, self._place)
            except ValueError as error:
                wanted = 2 * (len(self._buffer) - self._place)
                if self._is_hopeless(error) or not self._more(wanted):
                    raise self._broken(error) from error
                continue
            if (
                end == len(self._buffer)
                and not isinstance(value, dict | list | str)
                and self._more()
            ):
                continue
            self._place = end
            return value

    def _is_hopeless(self, error: ValueError) -> bool:
        """Whether no more text can mend a value: one that only ends too early is wrong at the end
        of what there is, or in a string that is still open."""
        place = getattr(error, "pos", None)
        if place is None:
            # An integer of more digits than Python reads.
            return True
        return len(self._buffer) - place > _TOKEN_CHARACTERS and not _is_open(error)

    def expect_end(self) -> None:
        if self.peek():
            raise ArchiveDamaged(f"{self.name} is damaged: something follows its end.")

    def _broken(self, error: Exception) -> ArchiveDamaged | ArchiveCutOff:
        # The text ended inside the value, or the value is wrong: the decoder stops at the end
        # of what there is in the first case.
        place = getattr(error, "pos", self._place)
        rest = self._buffer[place:].strip()
        is_begun = any(word.startswith(rest) for word in ("true", "false", "null", "-"))
        return self.cut_off() if is_begun or _is_open(error) else self.damaged()

    def cut_off(self) -> ArchiveCutOff:
        return ArchiveCutOff(
            f"{self.name} is cut off: its end is missing.",
            hint="Fetch it again from where it was whole.",
        )

    def damaged(self) -> ArchiveDamaged:
        line = self.line + self._buffer.count("\n", 0, self._place)
        return ArchiveDamaged(f"{self.name} is damaged: line {line} is not what it should be.")


# Many lines at once -------------------------------------------------------------------------------

_MARKS = ("shared", "dangling", "changed")


def _lines_of(text: str, separator: str) -> Lines | None:
    """The rows of whole lines; None where one of them is no row as an exporter writes it: taken
    alone it will be told what is wrong with it, if anything is."""
    decode = _quick_decoder()
    lines = _by_stdlib(text, separator) if decode is None else decode(text, separator)
    if lines is None or not all(map(_are_marks, lines.marks.values())):
        return None
    return lines


def _are_marks(marks: Mapping[str, Any]) -> bool:
    """Whether the names in the marks are names; `shared` may be anything."""
    return all(
        isinstance(names, list) and all(isinstance(name, str) for name in names)
        for mark, names in marks.items()
        if mark != "shared"
    )


def _by_stdlib(text: str, separator: str) -> Lines | None:
    models, keys, fields = [], [], []
    marks: dict[int, dict[str, Any]] = {}
    place, end, number = 0, len(text), 0
    scan: Any = _decoder.scan_once  # type: ignore[attr-defined]
    while True:
        try:
            value, place = scan(text, place)
            model, inner = value["model"], value["fields"]
            keys.append(value["pk"])
        except (ValueError, StopIteration, TypeError, LookupError, RecursionError):
            return None
        if type(model) is not str or type(inner) is not dict or "closing" in value:
            return None
        models.append(model)
        fields.append(inner)
        if len(value) > 3:
            marks[number] = {name: value[name] for name in _MARKS if name in value}
        number += 1
        if place == end:
            return Lines(models, keys, fields, marks, end)
        if not text.startswith(separator, place):
            return None
        place += len(separator)


@cache
def _quick_decoder() -> Callable[[str, str], Lines | None] | None:
    """The same by msgspec, where it is installed: what it reads, it reads alike; what it refuses
    is left to the standard library."""
    try:
        import msgspec
    except ImportError:
        return None

    names = (*_MARKS, "closing")
    row: Any = msgspec.defstruct(
        "Row",
        [("model", str), ("pk", Any), ("fields", dict[str, Any])]
        + [(name, Any, msgspec.UNSET) for name in names],
        gc=False,
    )
    of_lines, of_list = msgspec.json.Decoder(row), msgspec.json.Decoder(list[row])
    unset = msgspec.UNSET

    def marks(row: Any) -> dict[str, Any]:
        found = {name: getattr(row, name) for name in names}
        return {name: value for name, value in found.items() if value is not unset}

    def decoded(text: str, separator: str) -> Lines | None:
        rows: list[Any]
        try:
            rows = of_lines.decode_lines(text) if separator == "\n" else of_list.decode(f"[{text}]")
        except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
            return None
        marked = {
            place: marks(row)
            for place, row in enumerate(rows)
            if not (row.shared is row.dangling is row.changed is row.closing is unset)
        }
        if any("closing" in found for found in marked.values()):
            return None
        return Lines(
            [row.model for row in rows],
            [row.pk for row in rows],
            [row.fields for row in rows],
            marked,
            len(text),
        )

    return decoded
