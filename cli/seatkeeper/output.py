"""Answers as a table, JSON, CSV or TSV, and `--query` (JMESPath) on any of them."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from seatkeeper.errors import CliError
from seatkeeper.surroundings import Surroundings

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

NARROW = 80
"""Columns of a terminal that does not say how wide it is, and of a pipe."""

Row = Mapping[str, Any]


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    TSV = "tsv"


@dataclass(frozen=True)
class Column:
    """A column of a table. `of`: a field of the row or a function of it. `wide`: only shown from so many columns on,
    always in CSV and TSV. `keep`: never wrapped or shortened, such as an ID that is copied."""

    title: str
    of: str | Callable[[Row], Any]
    wide: int = 0
    right: bool = False
    keep: bool = False

    def value(self, row: Row) -> Any:
        return self.of(row) if callable(self.of) else row.get(self.of)


def text(value: Any) -> str:
    """A cell: numbers with thousands separators, times in UTC to the minute, yes and no. Control characters are left
    out, since a name must not be able to move the cursor."""
    match value:
        case None | "":
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case list() | tuple():
            return ", ".join(text(each) for each in value)
        case _:
            return printable(moment(str(value)))


def counted(count: int, noun: str, verb: str = "", verbs: str = "") -> str:
    """A number with its noun, and a verb that agrees with it: `1 group needs`, `2 groups need`."""
    words = f"{count:,} {noun}{'' if count == 1 else 's'}"
    return f"{words} {verb if count == 1 else verbs}" if verb else words


def moment(value: str) -> str:
    """A time of the API as people read it; any other text as it is."""
    if len(value) < len("2026-01-31T08:00") or value[4:5] != "-" or value[10:11] != "T":
        return value
    try:
        return datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return value


def printable(value: str) -> str:
    """The text without control and direction characters."""
    return "".join(each if unicodedata.category(each)[0] != "C" or each == "\n" else " " for each in value)


def plain(value: Any) -> str:
    """A cell of CSV and TSV: as the API has it. An apostrophe keeps a spreadsheet from running a value as a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "; ".join(plain(each) for each in value)
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    found = printable(str(value)).replace("\n", " ")
    return f"'{found}" if isinstance(value, str) and found[:1] in ("=", "+", "-", "@") else found


class Output:
    """Where and how answers are shown."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self.format = Format.TABLE
        self.query = ""

    @property
    def is_table(self) -> bool:
        return self.format is Format.TABLE and not self.query

    def console(self, *, err: bool = False) -> Console:
        """Rich on a stream; without color if it is piped or NO_COLOR is set."""
        from rich.console import Console

        stream = self.surroundings.err if err else self.surroundings.out
        width = self.surroundings.width or (None if stream.isatty() else NARROW)
        no_color = bool(self.surroundings.variables.get("NO_COLOR")) or not stream.isatty()
        return Console(
            file=stream, width=width, no_color=no_color, highlight=False, emoji=False, markup=False, soft_wrap=False
        )

    def _show(self, renderable: RenderableType) -> None:
        """Something with columns; a pipe gets no blanks at the ends of lines."""
        console = self.console()
        if self.surroundings.out.isatty():
            console.print(renderable)
            return
        with console.capture() as captured:
            console.print(renderable)
        self.surroundings.out.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))

    def say(self, line: str = "", *, err: bool = False) -> None:
        """A line for people, wrapped between words."""
        self.console(err=err).print(printable(line))

    def note(self, line: str) -> None:
        """A line beside the answer; it does not disturb a pipe."""
        self.say(line, err=True)

    def rows(self, rows: Iterable[Row], columns: Sequence[Column], empty: str = "Nothing was found.") -> None:
        """A list."""
        found = list(rows)
        match self.format:
            case Format.JSON:
                self._json(self._asked(found))
            case Format.CSV | Format.TSV:
                self._separated(found, columns)
            case _ if self.query:
                self._queried(found)
            case _ if not found:
                self.note(empty)
            case _:
                self._table(found, columns)

    def one(self, value: Any, lines: Callable[[], None]) -> None:
        """A single object; `lines` shows it to people."""
        match self.format:
            case Format.JSON:
                self._json(self._asked(value))
            case Format.CSV | Format.TSV:
                items = self._asked(value) if self.query else value
                flat = items if isinstance(items, list) else [items]
                self._write_separated([list(flat[0])] if flat and isinstance(flat[0], Mapping) else [], flat)
            case _ if self.query:
                self._queried(value)
            case _:
                lines()

    def raw(self, value: Any) -> None:
        """JSON as it is, for `api`."""
        asked = self._asked(value)
        if self.format in (Format.CSV, Format.TSV):
            items = asked.get("value", [asked]) if isinstance(asked, Mapping) else asked
            self._plain_rows(items if isinstance(items, list) else [items])
        else:
            self._json(asked)

    def raw_to_err(self, value: Any) -> None:
        """JSON on the error stream, such as an error."""
        self.surroundings.err.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def document(self, content: str) -> None:
        """Text as it is, such as YAML or CSV that is redirected to a file."""
        self.surroundings.out.write(content)

    def pairs(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Names and values, one a line; absent values are left out."""
        shown = [(name, text(value)) for name, value in pairs if value not in (None, "", [], {})]
        width = max((len(name) for name, _ in shown), default=0)
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=width, no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in shown:
            table.add_row(name, value)
        self._show(table)

    def heading(self, line: str) -> None:
        self.console().print(f"\n{printable(line)}", style="bold")

    def _asked(self, value: Any) -> Any:
        if not self.query:
            return value
        import jmespath
        from jmespath.exceptions import JMESPathError

        try:
            return jmespath.search(self.query, value)
        except JMESPathError as fault:
            raise CliError(
                f"--query is not JMESPath: {' '.join(str(fault).split())}", "See https://jmespath.org."
            ) from fault

    def _queried(self, value: Any) -> None:
        """The result of a query in a table: of objects their fields, of anything else one value a line."""
        found = self._asked(value)
        items = found if isinstance(found, list) else [found]
        if items and all(isinstance(each, Mapping) for each in items):
            self._table(items, [Column(name, name) for name in dict.fromkeys(key for each in items for key in each)])
        elif isinstance(found, Mapping):
            self._json(found)
        else:
            for each in items:
                cells = each if isinstance(each, list) else [each]
                self.surroundings.out.write("  ".join(plain(cell) for cell in cells) + "\n")

    def _json(self, value: Any) -> None:
        self.surroundings.out.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def _separated(self, rows: Sequence[Row], columns: Sequence[Column]) -> None:
        if self.query:
            found = self._asked(rows)
            self._plain_rows(found if isinstance(found, list) else [found])
            return
        titles = [column.title for column in columns]
        self._write_separated([titles], [[column.value(row) for column in columns] for row in rows])

    def _plain_rows(self, items: Sequence[Any]) -> None:
        if items and all(isinstance(each, Mapping) for each in items):
            names = list(dict.fromkeys(key for each in items for key in each))
            self._write_separated([names], [[each.get(name) for name in names] for each in items])
        else:
            self._write_separated([], items)

    def _write_separated(self, head: Sequence[Sequence[str]], items: Sequence[Any]) -> None:
        rows = [list(item.values()) if isinstance(item, Mapping) else item for item in items]
        cells = [[plain(cell) for cell in (row if isinstance(row, (list, tuple)) else [row])] for row in rows]
        out = io.StringIO()
        if self.format is Format.TSV:  # as in az: values alone, so that a shell can read them
            out.writelines("\t".join(cell.replace("\t", " ") for cell in row) + "\n" for row in cells)
        else:
            csv.writer(out, lineterminator="\n").writerows([*head, *cells])
        self.surroundings.out.write(out.getvalue())

    def _table(self, rows: Sequence[Row], columns: Sequence[Column]) -> None:
        from seatkeeper.tables import table_of

        self._show(table_of(rows, columns, self.console().width))
