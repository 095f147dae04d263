"""What differs from one database to another? The questions; each vendor's file answers them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from ..rows import Key, Value
from ..schema.relation import Relation
from ..schema.table import Column, Kind, Table

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from ..walk.keys import KeySet

Parameter: TypeAlias = Any
"""What a driver takes: the adapters make it, and nothing looks into it."""


class Condition(NamedTuple):
    """A piece of SQL for a WHERE clause, with its parameters; those of `join`, which stands before
    that clause, come first."""

    sql: str
    parameters: tuple[Parameter, ...] = ()
    join: str = ""

    @property
    def clause(self) -> str:
        return f"{self.join} WHERE {self.sql}"


@dataclass(frozen=True, slots=True)
class KeyTable:
    """Keys of one column that stand in a table (quoted SQL) of the transaction's own, for one
    statement to ask for all of them; in its column `key`."""

    sql: str
    kind: Kind
    count: int

    def __len__(self) -> int:
        return self.count


Keys: TypeAlias = "Sequence[Key] | KeyTable"
"""As many keys as one statement is told of."""

RawTexts: TypeAlias = "Callable[[Sequence[Value]], Iterable[object]]"
"""The values of one column as a driver gives them, as pieces of JSON."""


class RowStatements(NamedTuple):
    """SELECTs of one row: how many rows there are, how many of them are whole lines, the lines, and
    whether they are in doubt; a row that is to be written by hand is an empty one.

    `doubt` is SQL of whether one of the rows may need a closer look than all had, `closer` that of
    whether one row needs to be written by hand for it."""

    owned: str
    shared: str
    widest_bytes: int
    doubt: str
    closer: str

    def of(
        self, where: Condition, rows: int, *, is_shared: bool, is_closer: bool = False
    ) -> Condition:
        """The statement for at most so many rows. With a closer look at each none is in doubt."""
        sql = self.shared if is_shared else self.owned
        for mark, text in (
            (DOUBT, "false" if is_closer else self.doubt),
            (CLOSER, self.closer if is_closer else "false"),
            (WIDEST, str(self.widest_bytes // max(1, rows))),
            (WHERE, where.sql),
        ):
            sql = sql.replace(mark, text)
        return Condition(sql, where.parameters)


WIDEST = "\x00widest"
WHERE = "\x00where"
DOUBT = "\x00doubt"
CLOSER = "\x00closer"


class Mark(NamedTuple):
    """What stands before and after a value, of letters and digits that JSON does not escape."""

    before: str
    after: str


class DeleteAction(NamedTuple):
    """A constraint by which the database itself removes or changes rows of `table`; names as the
    database has them."""

    table: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]


class Lent(NamedTuple):
    """A snapshot that other sessions may take: its name, and what they have to be told to see the
    same."""

    name: str
    settings: Mapping[str, str]


class Moment(NamedTuple):
    """A state of the database, as `session`, a connection of the driver's, names it in `marks`.
    With `by_rows` it has no name: only the rows themselves tell whether they changed since."""

    session: object
    marks: tuple[int, ...] = ()
    by_rows: bool = False


class Dialect(Protocol):
    """One database's ways. Methods that ask use the connection they were made with."""

    connection: BaseDatabaseWrapper
    batch_keys: int
    lot_keys: int
    """Keys of one question of the walk: more than `batch_keys` where keys are sent packed."""
    can_interleave: bool
    """Whether other questions may be asked before a `streaming` cursor is read to its end."""
    locking: str
    """What a SELECT ends with that keeps others from changing its rows."""

    def streaming(self) -> AbstractContextManager[Any]:
        """A cursor that hands out rows as they come, where others hold all of them first. It is to
        be read to its end before anything else is asked."""

    def is_one_moment(self) -> bool:
        """True when the transaction that is open already shows one moment."""

    def lend_snapshot(self) -> Lent | None:
        """What another session needs to see what the open snapshot sees; None where none can, or
        where it might not see every row."""

    def take_snapshot(self, lent: Lent) -> None:
        """Begin a snapshot that was lent, in a new transaction."""

    def session_settings(self) -> Mapping[str, str] | None:
        """What another session has to be told to see the rows that this one sees; None where it
        might not see every row, or where one cannot write while another reads."""

    def begin_beside(self, settings: Mapping[str, str]) -> None:
        """Make this session one that asks and tries, for as long as it takes, beside one that
        loads, for which it never waits long."""

    def stop(self, other: BaseDatabaseWrapper) -> None:
        """Have the server give up what this session, in another thread, has it do. `other` is one
        that is idle."""

    def unique_columns(self, table: Table) -> Iterable[Sequence[str]]:
        """The columns, by their names in the database, of each whole and immediate unique index."""

    def check_at_once(
        self, relations: Iterable[Relation], graph_tables: Mapping[str, Table]
    ) -> None:
        """Until the transaction ends, have deferrable constraints of these checked as rows come."""

    def tuned(self) -> AbstractContextManager[None]:
        """Have questions with long lists of keys planned as well as this database can; afterwards
        the session is as it was."""

    def begin_snapshot(self) -> None:
        """Make the transaction just begun, before its first query, show one moment; read only
        where the database can promise that."""

    def among(
        self,
        columns: Sequence[str],
        leaves: Sequence[Column],
        values: Sequence[Sequence[Parameter]],
    ) -> Condition:
        """`columns` (quoted SQL) are equal to one of `values`: rows of adapted parameters."""

    def among_packed(self, column: str, leaf: Column, keys: Sequence[Value]) -> Condition | None:
        """The same for one column and packed keys, or for texts, none of which is looked at; None
        where `among` is to be asked."""

    def joined(self, column: str, leaf: Column, keys: Keys) -> Condition | None:
        """Rows whose generic key column holds one of these packed keys, in any form that it may
        have, by a `join` alone, where that costs less than a list; None where it does not. A table
        of keys is joined wherever the column can hold one."""

    def key_tables(self, column: Column, keys: KeySet) -> Iterator[KeyTable]:
        """All of these keys of the column, to be asked for until the transaction ends; none where
        they are few enough for a lot, or where lots are as good."""

    def leading_columns(self, tables: Collection[str]) -> set[tuple[str, str]]:
        """(table, column) for each column of these tables that an index of all rows begins with."""

    def distinct(self, column: str, table: str) -> str:
        """A query of the few values, called `kind`, of a column that an index begins with; through
        the index from one to the next. NULL is none."""

    def packs(self, table: Table, column: Column) -> bool:
        """Whether `packed` can answer with the column."""

    def packed(
        self,
        columns: Sequence[Column],
        names: Sequence[str],
        table: str,
        where: Condition,
        limit: int,
    ) -> Sequence[Sequence[Value]] | None:
        """The columns (their quoted SQL in `names`) of the rows for which `where` holds, each
        packed and without its NULLs; None when there are more than `limit` rows."""

    def as_read(self, column: Column, sql: str) -> str:
        """How the column is selected, so that the driver changes nothing: JSON as its text."""

    def as_text(self, sql: str) -> str:
        """The SQL expression as text, to compare keys of different types."""

    def in_order(self, column: Column, sql: str) -> str:
        """A key column as rows are ordered by it."""

    def row_statements(
        self, table: Table, plain: Container[str], marks: Mapping[str, Mark]
    ) -> RowStatements | None:
        """How the database makes an archive's lines of the table's rows; None where it cannot do it
        without loss. `plain` names the columns whose values Django does not convert. Around those
        that `marks` names the lines have marks, and the values are JSON strings: the column's text,
        or a document's."""

    def raw_texts(self, column: Column) -> RawTexts | None:
        """How values of the column are written that the driver gives for `as_raw`, if there is a
        way round making Python's own of them. It raises ValueError at what is unusual."""

    def as_raw(self, column: Column, sql: str) -> str:
        """How the column is selected for `raw_texts`."""

    def in_turn(self, name: str) -> AbstractContextManager[None]:
        """Around a transaction: two of one name come one after the other, where it takes a lock
        that outlives the transaction."""

    def begin_load(self, name: str) -> None:
        """Keep other writers from making the checks untrue, where that takes a lock; two loads of
        one name come one after the other."""

    def cannot_defer(
        self, relations: Iterable[Relation], graph_tables: Mapping[str, Table]
    ) -> set[str]:
        """The names of the relations whose constraint is checked row by row, whatever we say."""

    def checks_itself(
        self, relations: Iterable[Relation], graph_tables: Mapping[str, Table]
    ) -> set[str]:
        """The names of the relations of which the database lets no new row point at nothing, now
        or when deferred constraints are settled: asked of the database, not of the models."""

    def unchecked(self) -> AbstractContextManager[None]:
        """Constraints are not looked at inside; the caller checks every pointer afterwards."""

    def settle_constraints(self) -> None:
        """Have the database check now what it deferred; raises as the database does."""

    def insert(
        self, table: Table, columns: Sequence[Column], rows: Sequence[Sequence[Parameter]]
    ) -> None:
        """Put the rows in, with the values as they are."""

    def adapt(self, column: Column) -> Adapter | None:
        """How this database wants the values of a column; None for: as they are."""

    def takes_texts(self, column: Column) -> bool:
        """Whether `pack_texts` can be asked of the column."""

    def pack_texts(self, column: Column, texts: Sequence[str | None]) -> list[Parameter]:
        """Values that stand there as the one usual text of their kind, as `insert_packed` wants
        them: the same is stored as with `insert` and the value."""

    def pack(self, column: Column, values: Sequence[Value]) -> list[Parameter]:
        """Values of a column as `insert_packed` wants them: numbers, texts, bytes or None."""

    def may_refuse(self, column: Column, values: Sequence[Value], *, are_texts: bool) -> bool:
        """Whether `refuses` has to be asked of any of the values."""

    def insert_packed(
        self, table: Table, columns: Sequence[Column], packed: Sequence[Sequence[Parameter]]
    ) -> None:
        """Put rows in that come as packed columns."""

    def counts_inserts(self, tables: Sequence[Table]) -> bool:
        """Whether rows that were put into these tables, all of them or an error, are there."""

    def fills_packed(self, table: Table, columns: Sequence[Column]) -> bool:
        """Whether `fill_packed` can be asked of the columns."""

    def fill_packed(
        self,
        table: Table,
        columns: Sequence[Column],
        keys: Sequence[Parameter],
        packed: Sequence[Sequence[Parameter]],
    ) -> None:
        """Give the columns of existing rows values that come packed, with the rows' keys."""

    def reserve(
        self, table: Table, count: int, above: int, bump: Callable[[int], None]
    ) -> Sequence[int]:
        """So many new keys of an integer key, ascending, that no other writer can be given, and
        all above `above`.

        `bump` writes a row of the table under a key and takes it back, for databases that count
        on from the highest key they have seen."""

    def make_room(self, table: Table, key: int, bump: Callable[[int], None]) -> None:
        """Let the next key the database gives lie above `key`; never back."""

    def make_room_ahead(self, table: Table, key: int) -> None:
        """`make_room`, just before a row is written under that key."""

    def last_key(self, table: Table) -> int:
        """The highest number that the table's integer key can hold."""

    def highest_key(self, table: Table) -> int:
        """At least the highest key given so far."""

    def moment(self) -> Moment:
        """What the open snapshot shows, to be known again in a later transaction."""

    def is_reliable(self, moment: Moment, tables: Sequence[Table]) -> bool:
        """In a transaction that may write: can `unchanged` tell which rows of the tables are as
        they were? Where it says nothing, they all are."""

    def unchanged(self, moment: Moment, table: Table) -> str:
        """SQL that is true of no row that came or changed since the moment; "" where that is not
        for a row to say. Of others it may be false, too."""

    def row_digests(
        self, table: Table, columns: Sequence[Column], where: Condition, *, locked: bool
    ) -> tuple[int, bytes]:
        """How many rows there are, and what tells each of them from what it may become, ordered by
        key; nothing where of a row that cannot be told. Of databases that tell `by_rows` alone."""

    @property
    def waiting_lots(self) -> int:
        """How many packed lots may wait to be loaded beside an examination, that one included which
        is being loaded: each takes memory."""

    @property
    def removes_telling(self) -> bool:
        """Whether a DELETE can tell what the rows were that it took."""

    def removed_digests(
        self, table: Table, columns: Sequence[Column], where: Condition
    ) -> tuple[int, bytes]:
        """Remove the rows, and tell what `row_digests` told of them just before. Only where
        `removes_telling`."""

    def has_triggers(self, tables: Sequence[Table]) -> bool:
        """Whether a trigger of somebody's own acts on one of the tables, or may without our being
        shown it."""

    def delete_actions(self) -> Iterable[DeleteAction]:
        """The constraints that act when a row is deleted: neither RESTRICT nor NO ACTION."""

    def row_estimate(self, table: Table) -> int:
        """About how many rows the table has."""

    def probing(self) -> AbstractContextManager[None]:
        """Inside, rows can be tried whose pointers lead nowhere yet."""

    def is_refusal(self, error: Exception) -> bool:
        """Whether the database refused a row for what it is, not for where it points."""

    def is_about_everything(self, error: Exception) -> bool:
        """Whether no row is to blame: a deadlock, a lock not given, a lost connection."""

    def is_deadlock(self, error: Exception) -> bool:
        """Whether two transactions waited for each other, and this one was given up."""

    def is_lock_timeout(self, error: Exception) -> bool:
        """Whether somebody else held a lock for longer than this transaction was to wait."""

    def is_overtaken(self, error: Exception) -> bool:
        """Whether a row that was not there at the check has a key or unique value now."""

    def advance_sequence(self, table: Table) -> None:
        """Let the next key the database gives lie above every key of the table; never back."""

    def refuses(self, column: Column, value: Value) -> str:
        """Why this database can never hold the value, or "" when it may."""


class Adapter(Protocol):
    """Turns a value into a parameter."""

    def __call__(self, value: Value) -> Parameter: ...


def quoted(connection: BaseDatabaseWrapper, *names: str) -> str:
    """Quoted SQL for a column, or for a table and a column."""
    return ".".join(connection.ops.quote_name(name) for name in names)


def key_tuple(key: Key) -> tuple[Value, ...]:
    """A key as the tuple of its parts."""
    return key if isinstance(key, tuple) else (key,)
