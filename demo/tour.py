#!/usr/bin/env python
"""A tour of Gestore: a book leaves one library and arrives in another, and then in a third one that
is full of rows of its own, for the same readers. At last it is deleted at home, and comes back.

Every step is a command that you can type yourself. What arrived is then compared with what left
by reading the SQLite files and the archives directly, with nothing of Gestore's own.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

DEMO = Path(__file__).resolve().parent
FOLDER = ".tour"
SOURCE, TARGET, ARCHIVE = (
    f"{FOLDER}/library.sqlite3",
    f"{FOLDER}/branch.sqlite3",
    f"{FOLDER}/book-4.json",
)
CITY, KEYMAP, RETURN = f"{FOLDER}/city.sqlite3", f"{FOLDER}/keys.jsonl", f"{FOLDER}/again.json"
DELETED, RECEIPT = f"{FOLDER}/deleted-4.json", f"{FOLDER}/receipt-4.json"
BOOK = 4
REFERENCE = f"demoapp.Book.{BOOK}"

# Tables that every migrated database fills by itself, and the columns that tell their rows apart:
# their numbers may differ from one database to the next.
BY_NAME = {"django_content_type": ("app_label", "model")}

# Whom `keep` is for: one person has one account, the same name at every library.
READERS = "auth_user"

# What changes beside the rows: Gestore's own records, and counters, which never go back.
NOT_ROWS = (
    "gestore_import",
    "gestore_import_keys",
    "gestore_import_files",
    "gestore_removal",
    "sqlite_sequence",
)

Row = dict[str, Any]
# Every row of a database, whole, by table.
Rows = dict[str, Counter[tuple[Any, ...]]]
# Keys here by table and key there: in the one as SQLite has them, in the other as JSON has them.
Keys = dict[tuple[str, str], Any]


@dataclass(frozen=True)
class KeyMap:
    """What an import says of its rows: their keys here, and how many it loaded into each table."""

    stored: Keys
    written: Keys
    loaded: Counter[str]


class NotEqualError(Exception):
    """What arrived is not what left."""


def say(text: str) -> None:
    print(fill(text, 80), flush=True)


def title(text: str) -> None:
    print(f"\n\n{text}\n{'-' * len(text)}", flush=True)


def manage(*words: str, branch: str = TARGET) -> None:
    """Run a command of `manage.py` as one would type it; stop the tour where it fails."""
    tell(words)
    command = [sys.executable, "manage.py", *words]
    status = subprocess.run(command, cwd=DEMO, env=environment(branch), check=False).returncode
    if status:
        sys.exit(f"\nThe tour stops here: that command ended with exit code {status}.")


def manage_refused(*words: str, branch: str, first: int, last: int) -> None:
    """Run a command that is to be refused for conflicts; show the ends of what it says."""
    tell(words)
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=DEMO,
        env=environment(branch),
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    lines = done.stdout.splitlines()
    print("\n".join([*lines[:first], "[...]", *lines[-last:]]), flush=True)
    if done.returncode != 3:
        sys.exit(f"\nThe tour stops here: exit code {done.returncode}, where 3 was expected.")


def tell(words: tuple[str, ...]) -> None:
    """The command as one would type it, on as many lines as it takes."""
    text = fill(
        f"$ python manage.py {' '.join(words)}",
        78,
        subsequent_indent="    ",
        break_on_hyphens=False,
        break_long_words=False,
    )
    print("\n" + text.replace("\n", " \\\n"), flush=True)


def environment(branch: str) -> dict[str, str]:
    return os.environ | {
        "LIBRARY_DATABASE": SOURCE,
        "LIBRARY_BRANCH": branch,
        "DJANGO_SETTINGS_MODULE": "library.settings",
        "COLUMNS": "80",
        "PYTHONIOENCODING": "utf-8",
    }


def connect(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{(DEMO / name).as_uri()}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    return connection


# --- Comparing: the sqlite3 module alone ---------------------------------------------------------


def read_archive(name: str) -> Row:
    document: Row = json.loads((DEMO / name).read_text(encoding="utf-8"))
    return document


def archived_rows() -> list[Row]:
    objects: list[Row] = read_archive(ARCHIVE)["objects"]
    return objects


def table_of(model: str) -> str:
    return model.replace(".", "_")


def key_column(database: sqlite3.Connection, table: str) -> tuple[str, str]:
    """The name and the declared type of a table's primary key."""
    for column in database.execute(f'PRAGMA table_info("{table}")'):
        if column["pk"]:
            return column["name"], column["type"]
    raise NotEqualError(f"There is no table {table}.")


def stored_key(key: Any, declared: str) -> Any:
    """A key as SQLite has it: Django stores a UUID there as 32 hexadecimal digits."""
    return str(key).replace("-", "") if declared.lower() == "char(32)" else key


def pointers(database: sqlite3.Connection, table: str) -> dict[str, str]:
    """The foreign keys of a table: column, and the table that it points at."""
    keys = database.execute(f'PRAGMA foreign_key_list("{table}")')
    return {key["from"]: key["table"] for key in keys}


def named(database: sqlite3.Connection, table: str, key: Any) -> Any:
    """What a number in another table stands for, where numbers may differ."""
    if table not in BY_NAME or key is None:
        return key
    columns = ", ".join(BY_NAME[table])
    return tuple(
        database.execute(f'SELECT {columns} FROM "{table}" WHERE id = ?', [key]).fetchone()
    )


def read_row(database: sqlite3.Connection, table: str, key: Any) -> Row | None:
    """One row, column by column, as the file has it."""
    column, declared = key_column(database, table)
    found = database.execute(
        f'SELECT * FROM "{table}" WHERE "{column}" = ?', [stored_key(key, declared)]
    ).fetchone()
    if found is None:
        return None
    pointing = pointers(database, table)
    return {name: named(database, pointing.get(name, ""), found[name]) for name in found.keys()}  # noqa: SIM118


def compare_row(source: sqlite3.Connection, target: sqlite3.Connection, row: Row) -> int:
    """Hold one archived row of the source against the target; how many values are equal."""
    name, table = f"{row['model']} {row['pk']}", table_of(row["model"])
    left, arrived = read_row(source, table, row["pk"]), read_row(target, table, row["pk"])
    if left is None:
        raise NotEqualError(f"{name} is in the archive but not in {SOURCE}.")
    if arrived is None:
        raise NotEqualError(f"{name} did not arrive in {TARGET}.")
    for column in left.keys() | arrived.keys():
        before, after = left.get(column, "no column"), arrived.get(column, "no column")
        if (type(before), before) != (type(after), after):
            raise NotEqualError(
                f"{name}: {column} is {before!r} in {SOURCE}, {after!r} in {TARGET}."
            )
    return len(left)


def library_tables(database: sqlite3.Connection) -> list[str]:
    """The tables of the library and of its users; permissions are made by `migrate`."""
    names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    tables = [row["name"] for row in names]
    return [
        table
        for table in tables
        if table.startswith(("demoapp_", "auth_")) and table != "auth_permission"
    ]


def count(database: sqlite3.Connection, table: str, where: str = "1", *values: Any) -> int:
    query = f'SELECT COUNT(*) FROM "{table}" WHERE {where}'
    number: int = database.execute(query, values).fetchone()[0]
    return number


def compare_archived(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Every row that the archive names, every column; and not one row more."""
    rows = archived_rows()
    counts = Counter(row["model"] for row in rows)
    values: Counter[str] = Counter()
    for row in rows:
        values[row["model"]] += compare_row(source, target, row)
    print(f"\n{'':30}{'archived':>10}{'arrived':>10}{'values':>10}")
    for model, number in counts.items():
        arrived = count(target, table_of(model))
        print(f"{model:30}{number:>10,}{arrived:>10,}{values[model]:>10,}  equal")
    expected = Counter({table_of(model): number for model, number in counts.items()})
    for table in library_tables(target):
        if (found := count(target, table)) != expected[table]:
            raise NotEqualError(
                f"{TARGET} has {found} rows in {table}, the archive {expected[table]}."
            )
    if not rows:
        raise NotEqualError("The archive is empty.")


def belongings(database: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    """How many rows belong to the book, by table: those that point at it, and its notes."""
    for table in library_tables(database):
        for column, pointed in pointers(database, table).items():
            if pointed == "demoapp_book":
                yield f"{table}.{column}", count(database, table, f'"{column}" = ?', BOOK)
    kind = "content_type_id = (SELECT id FROM django_content_type WHERE model = ?)"
    yield (
        "notes on it",
        count(database, "demoapp_note", f"{kind} AND object_id = ?", "book", str(BOOK)),
    )
    copies = "SELECT id FROM demoapp_bookinstance WHERE book_id = ?"
    on_copies = f"{kind} AND replace(object_id, '-', '') IN ({copies})"
    yield "notes on its copies", count(database, "demoapp_note", on_copies, "bookinstance", BOOK)


def compare_belongings(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Nothing that belongs to the book stayed behind, whatever the archive says."""
    print(f"\n{'points at the book':30}{'source':>10}{'target':>10}")
    arrived = dict(belongings(target))
    for name, number in belongings(source):
        if arrived[name] != number:
            raise NotEqualError(f"{name}: {number} in {SOURCE}, {arrived[name]} in {TARGET}.")
        print(f"{name:30}{number:>10,}{arrived[name]:>10,}  equal")


def compare() -> None:
    with closing(connect(SOURCE)) as source, closing(connect(TARGET)) as target:
        broken = target.execute("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise NotEqualError(
                f"{TARGET}: {broken[0]['table']} points at a row that is not there."
            )
        compare_archived(source, target)
        compare_belongings(source, target)
        profiles = count(target, "demoapp_profile")
        users = count(target, "auth_user")
    print()
    say(
        f"Source and target are equal. {users} users arrived and {profiles} profiles: the receiver"
        " that makes a profile for every new user did not run."
    )


def rows_by_table(name: str) -> Rows:
    """Every row of a database file, by table, whole."""
    with closing(sqlite3.connect(f"{(DEMO / name).as_uri()}?mode=ro", uri=True)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            table: Counter(database.execute(f'SELECT * FROM "{table}"'))
            for (table,) in tables
            if table not in NOT_ROWS
        }


def read_keymap(database: sqlite3.Connection) -> KeyMap:
    """The key map that the import wrote: readers were kept, and they alone."""
    keymap = KeyMap({}, {}, Counter())
    for line in (DEMO / KEYMAP).read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        table = table_of(entry["model"])
        _, declared = key_column(database, table)
        there, here = (stored_key(entry[side], declared) for side in ("source", "target"))
        keymap.stored[table, str(there)] = here
        keymap.written[table, str(entry["source"])] = entry["target"]
        keymap.loaded[table] += entry["outcome"] == "loaded"
        if (table == READERS) != (entry["outcome"] == "kept"):
            raise NotEqualError(f"{KEYMAP} says: {line}. The readers were to be kept, no others.")
    return keymap


def translated(database: sqlite3.Connection, table: str, row: Row, keys: Keys) -> Row:
    """A row as it is to arrive: its key and its pointers, the note's included, by the key map."""
    expected = dict(row)
    name, _ = key_column(database, table)
    for column, pointed in {**pointers(database, table), name: table}.items():
        if row[column] is not None and pointed not in BY_NAME:
            expected[column] = keys[pointed, str(row[column])]
    if table == "demoapp_note":
        pointed = "_".join(row["content_type_id"])
        there = str(row["object_id"])
        here = keys[pointed, there.replace("-", "")]
        expected["object_id"] = str(here) if there != str(here) and "-" not in there else there
    return expected


def compare_translated(source: sqlite3.Connection, target: sqlite3.Connection, keys: Keys) -> int:
    """Every archived row, column by column, its key and pointers by the key map; a reader has an
    account there already, and is the same one by name."""
    changed = 0
    for row in archived_rows():
        name, table = f"{row['model']} {row['pk']}", table_of(row["model"])
        left = read_row(source, table, row["pk"])
        _, declared = key_column(source, table)
        here = keys[table, str(stored_key(row["pk"], declared))]
        arrived = read_row(target, table, here)
        expected = left and translated(source, table, left, keys)
        changed += expected != left
        if table == READERS and arrived and expected:
            arrived, expected = identity(arrived), identity(expected)
        if expected is None or arrived != expected:
            raise NotEqualError(f"{name} is to be {expected} in {CITY}, and is {arrived}.")
    return changed


def identity(reader: Row) -> Row:
    """What tells that an account is the same person's; the rest is each library's own."""
    return {"username": reader["username"]}


def compare_city(before: Rows) -> None:
    """The book is there, all of it; and of what was there nothing is other than it was."""
    with closing(connect(SOURCE)) as source, closing(connect(CITY)) as target:
        broken = target.execute("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise NotEqualError(f"{CITY}: {broken[0]['table']} points at a row that is not there.")
        keymap = read_keymap(target)
        changed = compare_translated(source, target, keymap.stored)
    compare_before(before, keymap)
    print()
    counts = Counter(table_of(row["model"]) for row in archived_rows())
    say(
        f"No user was imported and none changed: {counts[READERS]} accounts stand for those "
        f"archived, of the same usernames. The {counts.total() - counts[READERS]} other rows are "
        f"in {CITY}, every value equal but for keys and pointers, which are as {KEYMAP} says: "
        f"{changed} rows have other ones. Every row that was there is what it was."
    )


def compare_before(before: Rows, keymap: KeyMap) -> None:
    """Every row that was there is there, and beside them as many as were loaded."""
    after = rows_by_table(CITY)
    print(f"\n{'':30}{'before':>10}{'new':>10}{'now':>10}")
    for table, found in after.items():
        lost, new = before[table] - found, found - before[table]
        if lost or new.total() != keymap.loaded[table]:
            raise NotEqualError(
                f"{CITY}: {table} lost {lost.total()} rows and got {new.total()}, of which "
                f"{keymap.loaded[table]} were imported."
            )
        if new or table == READERS:
            print(f"{table:30}{before[table].total():>10,}{new.total():>10,}{found.total():>10,}")


# --- Comparing two archives: the json module alone, SQLite saying only what points at what --------


def archived_values(row: Row, kinds: dict[int, str]) -> Row:
    """An archived row's values, with a content type's table for its number."""
    fields: Row = dict(row["fields"])
    if "content_type" in fields:
        fields["content_type"] = kinds[fields["content_type"]]
    return fields


def values_again(values: Row, pointing: dict[str, str], keys: Keys) -> Row:
    """The same as they are to leave the city: pointers, the note's included, by the key map."""
    again = dict(values)
    for column, pointed in pointing.items():
        name = column.removesuffix("_id")
        if values[name] is not None and pointed not in BY_NAME:
            again[name] = keys[pointed, str(values[name])]
    if "content_type" in values:
        again["object_id"] = str(keys[values["content_type"], values["object_id"]])
    return again


def content_types(archive: Row) -> dict[int, str]:
    """The numbers that an archive has for content types, and the tables that they stand for."""
    model = "contenttypes.contenttype"
    named = [row for row in archive["external"] if row["model"] == model]
    return {row["pk"]: "_".join(row["natural_key"]) for row in named}


def compare_archives(keymap: KeyMap, pointing: dict[str, dict[str, str]]) -> Counter[str]:
    """The book as it left the library against the book as it leaves the city: the same rows under
    the keys of the key map, and no others. How many there are, by table."""
    first, second = read_archive(ARCHIVE), read_archive(RETURN)
    kinds, kinds_again = content_types(first), content_types(second)
    again = {(row["model"], str(row["pk"])): row for row in second["objects"]}
    compared: Counter[str] = Counter()
    for row in first["objects"]:
        table = table_of(row["model"])
        key = str(keymap.written[table, str(row["pk"])])
        found = again.pop((row["model"], key), None)
        if found is None or found.get("shared") != row.get("shared"):
            raise NotEqualError(f"{row['model']} {key} is not in {RETURN} as in {ARCHIVE}.")
        values = archived_values(found, kinds_again)
        expected = values_again(archived_values(row, kinds), pointing[table], keymap.written)
        if table == READERS:
            values, expected = identity(values), identity(expected)
        # As text: Python finds 1, 1.0 and true equal.
        if json.dumps(values, sort_keys=True) != json.dumps(expected, sort_keys=True):
            name = f"{row['model']} {key}"
            raise NotEqualError(f"{name} is to be {expected} in {RETURN}, and is {values}.")
        compared[table] += 1
    if again:
        raise NotEqualError(f"{RETURN} has more rows: {', '.join(map(' '.join, again))}.")
    return compared


def compare_return() -> None:
    with closing(connect(CITY)) as city:
        keymap = read_keymap(city)
        pointing = {table: pointers(city, table) for table in library_tables(city)}
    counts = compare_archives(keymap, pointing)
    print()
    say(
        f"{ARCHIVE} and {RETURN} hold the same {counts.total()} rows. Of "
        f"{counts.total() - counts[READERS]} every value is equal, keys and pointers (of notes "
        f"too) translated by {KEYMAP}; the {counts[READERS]} readers are the same by username."
    )


def contents(name: str) -> list[str]:
    """Everything that a database file holds, as SQL."""
    with closing(connect(name)) as database:
        return list(database.iterdump())


# --- What is gone: the sqlite3, json and hashlib modules alone ------------------------------------


def owned_keys(archive: Row, database: sqlite3.Connection) -> dict[str, set[Any]]:
    """The keys of the rows that were to go, by table, as SQLite has them."""
    keys: dict[str, set[Any]] = {}
    for row in archive["objects"]:
        if not row.get("shared"):
            table = table_of(row["model"])
            _, declared = key_column(database, table)
            keys.setdefault(table, set()).add(stored_key(row["pk"], declared))
    return keys


def compare_gone(before: Rows) -> None:
    """The rows that the archive owns are gone, these alone, and nothing points at them."""
    after = rows_by_table(SOURCE)
    with closing(connect(SOURCE)) as library:
        owned = owned_keys(read_archive(DELETED), library)
        left = {name: number for name, number in belongings(library) if number}
        left |= notes_on_copies(library, owned["demoapp_bookinstance"])
        if left or library.execute("PRAGMA foreign_key_check").fetchall():
            raise NotEqualError(f"{SOURCE} has rows that point at the book: {left}.")
        print(f"\n{'':30}{'before':>10}{'gone':>10}{'now':>10}")
        for table, found in before.items():
            gone = found - after[table]
            place = key_place(library, table) if gone else 0
            if after[table] - found or {row[place] for row in gone} != owned.get(table, set()):
                raise NotEqualError(f"{SOURCE}: other rows of {table} went than were archived.")
            if gone:
                now = after[table].total()
                print(f"{table:30}{found.total():>10,}{gone.total():>10,}{now:>10,}")
    check_receipt({table: len(keys) for table, keys in owned.items()})
    print()
    say(
        f"Gone are the {sum(map(len, owned.values()))} rows that {DELETED} owns, and no others: "
        "every other row is what it was, and nothing points at the book or its copies. The "
        "receipt counts the same, and has the archive's digest."
    )


def notes_on_copies(database: sqlite3.Connection, copies: set[Any]) -> dict[str, int]:
    """How many notes are on copies that are gone, by the copy's key."""
    query = """
        SELECT replace(object_id, '-', '') FROM demoapp_note WHERE content_type_id =
        (SELECT id FROM django_content_type WHERE model = 'bookinstance')
    """
    return Counter(key for (key,) in database.execute(query) if key in copies)


def key_place(database: sqlite3.Connection, table: str) -> int:
    """Which of a table's columns is its key."""
    columns = database.execute(f'PRAGMA table_info("{table}")')
    return next(place for place, column in enumerate(columns) if column["pk"])


def check_receipt(counts: dict[str, int]) -> None:
    """The receipt says what went, and names the archive by its digest."""
    receipt = json.loads((DEMO / RECEIPT).read_text(encoding="utf-8"))
    *body, _ = (DEMO / DELETED).read_bytes().splitlines(keepends=True)
    removed = {table_of(label.lower()): number for label, number in receipt["removed"].items()}
    if removed != counts or receipt["sha256"] != hashlib.sha256(b"".join(body)).hexdigest():
        raise NotEqualError(f"{RECEIPT} does not say what happened.")


# --- The tour ------------------------------------------------------------------------------------


def prepare() -> None:
    title("1. A library")
    if (DEMO / FOLDER).exists():
        shutil.rmtree(DEMO / FOLDER)
    (DEMO / FOLDER).mkdir()
    say("Made-up books, copies, readers, reviews and notes, in an SQLite file.")
    print(f"\n$ cd {DEMO.name}")
    print(f"$ export LIBRARY_DATABASE={SOURCE}")
    print(f"$ export LIBRARY_BRANCH={TARGET}", flush=True)
    manage("migrate", "--verbosity", "0")
    manage("generate")


def export() -> None:
    title(f"2. What belongs to book {BOOK}?")
    say("The plan: what would come along, and what would not. Nothing is written.")
    manage("planobjects", REFERENCE)
    title("3. The book into a file")
    manage("exportobjects", REFERENCE, "-o", ARCHIVE)


def load() -> None:
    title("4. The file into another library")
    say("The branch has the same tables, and nothing in them.")
    manage("migrate", "--verbosity", "0", "--database", "branch")
    manage("importobjects", ARCHIVE, "--database", "branch")


def check() -> None:
    title("5. Is what arrived what left?")
    say("Both files read with Python's sqlite3 alone: every archived row, column by column.")
    compare()


def load_again() -> None:
    title("6. The same file once more")
    before = contents(TARGET)
    manage("importobjects", ARCHIVE, "--database", "branch")
    changed = sorted(set(before) ^ set(contents(TARGET)))
    if changed:
        raise NotEqualError(f"The second import changed {TARGET}, for one: {changed[0]}")
    print()
    say(f"{TARGET} holds what it held before, to the last byte of every row.")


def meet_the_city() -> Rows:
    title("7. A library full of other books, for the same readers")
    say(
        "The city's library was made with another seed: other rows under the same keys. But its "
        "readers are the same people: a reader has one key and one username in the whole town. "
        "The password and the day of joining are each library's own."
    )
    print(f"\n$ export LIBRARY_BRANCH={CITY}", flush=True)
    manage("migrate", "--verbosity", "0", "--database", "branch", branch=CITY)
    manage("generate", "--database", "branch", "--seed", "2", branch=CITY)
    before = rows_by_table(CITY)
    words = "importobjects", ARCHIVE, "--database", "branch"
    manage_refused(*words, branch=CITY, first=3, last=13)
    if rows_by_table(CITY) != before:
        raise NotEqualError(f"The refused import changed {CITY}.")
    print()
    say(
        "Look before you choose. Of a user only password and day differ: the same person. Were it "
        "another one, two usernames would be shown, as two names are of the author."
    )
    return before


def load_under_new_keys() -> None:
    title("8. The book under new keys, the readers as they are")
    say(
        "remap: rows whose keys are taken get new ones, and every pointer to them follows. keep, "
        "for users alone: the readers' accounts here stand for the archived ones and stay as they "
        "are; reviews and loans go to them. Genre and language are the same there: those are used."
    )
    words = "importobjects", ARCHIVE, "--database", "branch"
    strategies = "--on-conflict", "remap", "--on-conflict", "auth.User=keep"
    manage(*words, *strategies, "--keymap", KEYMAP, branch=CITY)


def export_again() -> None:
    title("10. Out again, and the same?")
    with closing(connect(CITY)) as city:
        book = read_keymap(city).written["demoapp_book", str(BOOK)]
    say(f"Book {BOOK} is book {book} here, as the key map says.")
    words = "exportobjects", f"demoapp.Book.{book}", "-o", RETURN, "--database", "branch"
    manage(*words, branch=CITY)
    compare_return()


def undo(before: Rows) -> None:
    title("11. And back")
    manage("importobjects", "--undo", "1", "--database", "branch", "--no-input", branch=CITY)
    if rows_by_table(CITY) != before:
        raise NotEqualError(f"{CITY} is not what it was before the import.")
    print()
    say(f"{CITY} holds what it held before the import, row for row.")


def load_into_the_city() -> None:
    before = meet_the_city()
    load_under_new_keys()
    title("9. Is the book there, and all else as it was?")
    say("Three files read with Python's sqlite3 alone: what left, what arrived, the key map.")
    compare_city(before)
    export_again()
    undo(before)


def delete() -> Rows:
    title("12. Out of the library for good")
    say(
        "The book is to be deleted where it came from. Look first: copies are protected by "
        "on_delete=RESTRICT, so they stand in the way."
    )
    words = "deleteobjects", REFERENCE
    before = rows_by_table(SOURCE)
    manage_refused(*words, "--dry-run", branch=TARGET, first=12, last=3)
    print()
    say(
        "Copies belong to their book: --own says so. Archived first, then removed and proved "
        "gone; without --no-input it would ask."
    )
    manage(
        *(*words, "--own", "demoapp.BookInstance", "--archive", DELETED),
        *("--receipt", RECEIPT, "--no-input"),
    )
    return before


def delete_and_bring_back() -> None:
    before = delete()
    title("13. Is it gone, it alone, and all of it?")
    say("The library's file, the archive and the receipt, read without Gestore.")
    compare_gone(before)
    title("14. And back")
    manage("importobjects", DELETED)
    if rows_by_table(SOURCE) != before:
        raise NotEqualError(f"{SOURCE} is not what it was before the deletion.")
    print()
    say(f"{SOURCE} holds what it held before the deletion, row for row.")


def farewell() -> None:
    title("What to look at next")
    for name, what in {
        ARCHIVE: "the archive: plain JSON, one row a line",
        KEYMAP: "the key map: each row's key there and here",
        RETURN: "the same book, as it left the city",
        DELETED: "the archive of the deletion",
        RECEIPT: "its receipt: what went, and when",
        "README.md": "this site's pages and commands",
        "demoapp/models.py": "the tables that were walked",
    }.items():
        print(f"  {DEMO.name + '/' + name:28}{what}")
    print(f"""
  $ cd {DEMO.name}
  $ LIBRARY_DATABASE={TARGET} python manage.py runserver
  http://127.0.0.1:8000/books/{BOOK}/  the book in its new place""")


def main() -> None:
    steps = prepare, export, load, check, load_again, load_into_the_city, delete_and_bring_back
    try:
        for step in (*steps, farewell):
            step()
    except NotEqualError as difference:
        sys.exit("\n" + fill(f"NOT EQUAL. {difference}", 80))


if __name__ == "__main__":
    main()
