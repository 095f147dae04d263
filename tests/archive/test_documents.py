"""Does every layout of the same JSON read as the same archive?"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestore.archive.documents import Layout, Part, parse, pieces, row_text, utf8
from gestore.errors import ArchiveCutOff, ArchiveDamaged, ArchiveError, NotAnArchive
from gestore.rows import ArchivedRow

from .archives import MANIFEST, ROWS, codes, read, write

LAYOUTS = (".json", ".jsonl")


def text_of(suffix: str, rows: tuple[ArchivedRow, ...] = ROWS) -> str:
    blocks = (utf8(row_text(row)) for row in rows)
    written = pieces(Layout(suffix), MANIFEST.as_json(), blocks, lambda: {"rows": len(rows)})
    return b"".join(piece for piece, _ in written).decode()


def parsed(*pieces: str) -> list[tuple[Part, Any]]:
    """What is found, rows one by one however many came at once."""
    found: list[tuple[Part, Any]] = []
    for part, value in parse("x.json", iter(pieces)):
        if part is not Part.LINES:
            found.append((part, dict(value)))
            continue
        members = zip(value.models, value.keys, value.fields, strict=True)
        for place, (model, pk, fields) in enumerate(members):
            row = {"model": model, "pk": pk, "fields": fields}
            found.append((Part.ROW, row | value.marks.get(place, {})))
    return found


@pytest.mark.parametrize("suffix", [s + c for s in LAYOUTS for c in ("", ".gz", ".zst")])
@pytest.mark.parametrize("rows", [(), ROWS[:1], ROWS])
def test_what_is_written_is_read(
    tmp_path: Path, suffix: str, rows: tuple[ArchivedRow, ...]
) -> None:
    path = tmp_path / f"zoo{suffix}"
    written = write(path, rows)
    manifest, found, ending = read(path)
    assert manifest == MANIFEST
    assert tuple(found) == rows
    assert ending.findings("x") == []
    assert (ending.row_count, ending.sha256) == (written.row_count, written.sha256)
    assert written.row_count == len(rows)
    assert written.size_bytes > 0


def test_archive_can_be_read_again_from_the_beginning(tmp_path: Path) -> None:
    from gestore.archive.reader import open_archive

    write(tmp_path / "zoo.json.gz")
    with open_archive(str(tmp_path / "zoo.json.gz"), 1 << 20) as archive:
        first = next(archive.rows())
        assert [row.pk for row in archive.rows()] == [row.pk for row in ROWS]
        assert next(archive.rows()) == first


def test_one_row_is_one_line(tmp_path: Path) -> None:
    write(tmp_path / "zoo.json")
    write(tmp_path / "zoo.jsonl")
    whole = (tmp_path / "zoo.json").read_text()
    assert whole.count("\n{") == len(ROWS)
    document = json.loads(whole)
    values = [json.loads(line) for line in (tmp_path / "zoo.jsonl").read_text().strip().split("\n")]
    assert values[1:-1] == document["objects"]
    assert values[0] == {k: v for k, v in document.items() if k not in ("objects", "closing")}
    assert values[-1]["closing"]["rows"] == document["closing"]["rows"] == len(ROWS)
    assert document["objects"][0] == {
        "model": "zoo.tag",
        "pk": 1,
        "fields": {"label": 'a "tag"'},
        "shared": True,
    }
    assert document["objects"][2]["dangling"] == ["opened"]


@pytest.mark.parametrize("suffix", LAYOUTS)
def test_pieces_may_be_cut_anywhere(suffix: str) -> None:
    text = text_of(suffix)
    expected = parsed(text)
    assert len(expected) == len(ROWS) + 2
    for place in range(len(text)):
        assert parsed(text[:place], text[place:]) == expected
    assert parsed(*text) == expected


def shuffled(document: dict[str, Any]) -> str:
    """Other members may stand before and after the rows; the closing comes last."""
    names = [name for name in document if name not in ("objects", "closing", "format_version")]
    before = ["version", "date", "provided_objects"]
    after = [name for name in names if name not in before]
    order = [*before, "format_version", *after, "objects", "closing"]
    return json.dumps({name: document[name] for name in order})


@pytest.mark.parametrize(
    "layout",
    [
        lambda document: json.dumps(document, indent=2),
        lambda document: json.dumps(document, indent="\t"),
        lambda document: json.dumps(document),
        lambda document: json.dumps(document, separators=(",", ":")) + "\r\n",
        lambda document: "\ufeff" + json.dumps(document, indent=1).replace("\n", "\r\n"),
        shuffled,
    ],
    ids=["indented", "with tabs", "one line", "dense", "from Windows", "reordered"],
)
def test_other_layout_of_the_same_json_reads_the_same(
    tmp_path: Path, layout: Callable[[dict[str, Any]], str]
) -> None:
    path = tmp_path / "zoo.json"
    write(path)
    document = json.loads(path.read_text())
    path.write_text(layout(document), "utf-8", "surrogatepass")
    manifest, rows, _ = read(path)
    assert manifest == MANIFEST
    assert tuple(rows) == ROWS
    # It is what it was; only a digest cannot know that.
    assert codes(path) == ["archive-edited"]


def test_lines_in_other_layouts_read_the_same(tmp_path: Path) -> None:
    path = tmp_path / "zoo.jsonl"
    write(path)
    values = [json.loads(line) for line in path.read_text().strip().split("\n")]
    path.write_text("\n\n".join(json.dumps(value, indent=2) for value in values))
    manifest, rows, _ = read(path)
    assert manifest == MANIFEST
    assert tuple(rows) == ROWS


def test_order_of_rows_is_the_files(tmp_path: Path) -> None:
    path = tmp_path / "zoo.jsonl"
    rows = [ArchivedRow("zoo.tag", n, {"label": str(n)}) for n in range(50)]
    random.Random(1).shuffle(rows)
    write(path, rows)
    assert read(path)[1] == rows


# What is no archive -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", NotAnArchive),
        ("   \n", NotAnArchive),
        ("[]", NotAnArchive),
        ('"text"', NotAnArchive),
        ("id,name\n1,zoo\n", NotAnArchive),
        ("{}", NotAnArchive),
        ('{"a": 1}', NotAnArchive),
        ("{", ArchiveCutOff),
        ('{"a"', ArchiveCutOff),
        ('{"a": ', ArchiveCutOff),
        ('{"a": tr', ArchiveCutOff),
        ('{"a": "text', ArchiveCutOff),
        ('{"a": [1, ', ArchiveCutOff),
        ('{"objects": [', ArchiveCutOff),
        ('{"objects": []', ArchiveCutOff),
        ('{"objects": [{"a": 1}', ArchiveCutOff),
        ('{"format_version": 2}\n{"model": ', ArchiveCutOff),
        ("{a: 1}", ArchiveDamaged),
        ('{"a": 1} {', ArchiveDamaged),
        ('{"objects": {}}', ArchiveDamaged),
        ('{"objects": [1]}', ArchiveDamaged),
        ('{"objects": [{}{}]}', ArchiveDamaged),
        ('{"objects": []} more', ArchiveDamaged),
        ('{"a": nul}', ArchiveDamaged),
        ('{"a": "\n"}', ArchiveDamaged),
        ('{[1]: 2, "objects": []}', ArchiveDamaged),
        ('{1: 2, "objects": []}', ArchiveDamaged),
        ('{"objects": [], "objects": []}', ArchiveDamaged),
        ('{"a": 1, "a": 2, "objects": []}', ArchiveDamaged),
        ('{"closing": {}, "objects": []}', ArchiveDamaged),
        ('{"objects": [], "closing": {}, "closing": {}}', ArchiveDamaged),
        ('{"format_version": 2}\n[]', ArchiveDamaged),
        ('{"format_version": 2}\n{"closing": {}}\n{"model": 1}', ArchiveDamaged),
        ('{"a": ' + "1" * 5_000 + ', "objects": []}', ArchiveDamaged),
        ('{"objects": [' + "[" * 200_000, ArchiveDamaged),
        ('{"a": ' + '{"a": ' * 100_000, ArchiveDamaged),
    ],
)
def test_what_is_no_archive_is_said_to_be_none(text: str, error: type[ArchiveError]) -> None:
    with pytest.raises(ArchiveError, match=r"^x\.json is ") as caught:
        parsed(text)
    assert type(caught.value) is error
    with pytest.raises(ArchiveError):
        parsed(*text[:2_000])


def test_line_of_the_damage_is_told() -> None:
    text = text_of(".jsonl").splitlines(keepends=True)
    text[2] = '{"model": oops}\n'
    with pytest.raises(ArchiveDamaged, match="line 3 is not"):
        parsed("".join(text))


def test_damage_in_the_middle_is_found_before_the_rest_is_read() -> None:
    taken = 0

    def pieces() -> Iterator[str]:
        nonlocal taken
        yield '{"format_version": 2}\n{"model": "a", "pk": 1 "fields": {}}\n'
        for _ in range(100_000):
            taken += 1
            yield '{"model": "a", "pk": 1, "fields": {}}\n'

    with pytest.raises(ArchiveDamaged):
        list(parse("x", pieces()))
    assert taken < 5_000


@given(st.text(max_size=60) | st.text(st.sampled_from('{}[]":,1 \n\\eE+-.truefalsn'), max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    for start in ("", '{"format_version": 2}\n', '{"objects": ['):
        try:
            parsed(start + text)
        except ArchiveError as error:
            assert str(error).startswith("x.json is ")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.lists(
        st.builds(
            ArchivedRow,
            st.sampled_from(["a.b", "c.d"]),
            json_values,
            st.dictionaries(st.text(max_size=5), json_values, max_size=3),
            st.booleans(),
            st.lists(st.text(max_size=5), max_size=2).map(tuple),
        ),
        max_size=5,
    ),
    st.sampled_from(LAYOUTS),
    st.lists(st.integers(0, 2_000), max_size=5),
)
def test_any_rows_come_back(rows: list[ArchivedRow], suffix: str, cuts: list[int]) -> None:
    text = text_of(suffix, tuple(rows))
    places = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    pieces = [text[a:b] for a, b in pairwise(places)]
    found = [value for part, value in parsed(*pieces) if part is Part.ROW]
    assert [(v["model"], v["pk"], v["fields"]) for v in found] == [
        (row.model, row.pk, row.fields) for row in rows
    ]
    assert [tuple(v.get("dangling", ())) for v in found] == [row.dangling for row in rows]
    assert [v.get("shared", False) for v in found] == [row.is_shared for row in rows]
