"""Tables that fit the terminal: words are never broken. If the columns do not fit, rows become blocks of lines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from seatkeeper.output import Column, Row, text

GAP = 2
MOST_LINES = 4
"""A table with a longer cell is hard to read; then each row becomes lines."""

WIDEST = 44
"""A column is not made wider than this as long as its words fit."""


def table_of(rows: Sequence[Row], columns: Sequence[Column], width: int) -> RenderableType:
    """A table within the width. Columns with `wide` appear if the terminal has so many columns, and if the others then
    have room for their texts."""
    for shown in ([each for each in columns if each.wide <= width], [each for each in columns if not each.wide]):
        shown, cells = _filled(shown, rows)
        widths = fitted(shown, cells, width)
        if widths is not None and _lines(cells, widths) <= MOST_LINES:
            return _grid(shown, cells, widths)
    return _blocks(shown, cells)


def _filled(shown: Sequence[Column], rows: Sequence[Row]) -> tuple[list[Column], list[list[str]]]:
    """The columns that are not empty, with their cells by row."""
    cells = [[text(column.value(row)) for column in shown] for row in rows]
    kept = [index for index in range(len(shown)) if any(row[index] for row in cells)]
    return [shown[index] for index in kept], [[row[index] for index in kept] for row in cells]


def _lines(cells: Sequence[Sequence[str]], widths: Sequence[int]) -> int:
    """About the most lines that a cell takes."""
    return max(
        (-(-cell_len(cell) // width) for row in cells for cell, width in zip(row, widths, strict=True)), default=1
    )


def fitted(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """The width of each column, so that no word is broken; None if that is impossible."""
    least, most = [], []
    for index, column in enumerate(columns):
        texts = [column.title, *(row[index] for row in cells)]
        longest = max(cell_len(each) for each in texts)
        word = max(cell_len(part) for each in texts for part in (each.split() or [""]))
        least.append(longest if column.keep or column.right else word)
        most.append(longest)
    room = width - GAP * (len(columns) - 1)
    if sum(least) > room:
        return None
    widths = list(least)
    spare = room - sum(widths)
    for limit in (WIDEST, width):
        for index in sorted(range(len(columns)), key=lambda each: most[each]):
            more = min(spare, max(0, min(most[index], limit) - widths[index]))
            widths[index] += more
            spare -= more
    return widths


def _grid(columns: Sequence[Column], cells: Sequence[Sequence[str]], widths: Sequence[int]) -> Table:
    table = Table(box=None, padding=(0, 0), collapse_padding=True, show_edge=False, pad_edge=False, header_style="bold")
    for index, (column, width) in enumerate(zip(columns, widths, strict=True)):
        last = index == len(columns) - 1
        table.add_column(column.title, width=width, justify="right" if column.right else "left", overflow="fold")
        if not last:
            table.add_column("", width=GAP)
    for row in cells:
        spread: list[Text] = []
        for index, cell in enumerate(row):
            spread += [Text(cell, overflow="fold"), *([Text("")] if index < len(row) - 1 else [])]
        table.add_row(*spread)
    return table


def _blocks(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> Table:
    """Each row as lines of name and value, with an empty line between rows."""
    table = Table.grid(padding=(0, GAP, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for row in cells[:1]:
        _block(table, columns, row)
    for _, row in pairwise(cells):
        table.add_row("", "")
        _block(table, columns, row)
    return table


def _block(table: Table, columns: Sequence[Column], row: Sequence[str]) -> None:
    for column, cell in zip(columns, row, strict=True):
        if cell:
            table.add_row(column.title, Text(cell, overflow="fold"))
