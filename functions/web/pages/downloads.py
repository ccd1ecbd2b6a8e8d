"""Downloads: CSV that a spreadsheet opens safely, and the answer that is saved as a file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from functions.web.pages.rendering import HEADERS

_FORMULA = re.compile(r"""(^|[;,|\t\r\n])(?=["'\s]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r])""")
"""Where a spreadsheet can find the beginning of a formula (owasp.org/www-community/attacks/CSV_Injection). This is the
beginning of a cell, behind quotes and blanks, and the place after a separator. Programs of other languages separate
cells by semicolons. Full-width signs count too."""


BEGINNING = "\ufeff"
"""The mark by which spreadsheets see that a file is UTF-8."""


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A CSV file whose cells no spreadsheet takes for formulas."""
    return f"{BEGINNING}{csv_lines([columns, *rows])}"


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """A part of such a file."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([safe(str(cell)) for cell in row] for row in rows)
    return out.getvalue()


def safe(cell: str) -> str:
    """The cell with an apostrophe before each formula, as which it is shown and not run."""
    return _FORMULA.sub(r"\1'", cell)


def download(name: str, text: str, kind: str) -> Response:
    return Response(text.encode(), 200, _saved_as(name), f"{kind}; charset=utf-8")


def streamed_csv(name: str, columns: Sequence[str], pages: AsyncIterator[Iterable[Sequence[object]]]) -> Response:
    """A CSV file of any length, sent page by page."""

    async def parts() -> AsyncIterator[str]:
        yield f"{BEGINNING}{csv_lines([columns])}"
        async for rows in pages:
            yield csv_lines(rows)

    return streamed(name, parts(), "text/csv")


def streamed(name: str, parts: AsyncIterator[str], kind: str) -> Response:
    """A file of any length, sent part by part. If a part cannot be read, the answer breaks off as an error."""
    encoded = (part.encode() async for part in parts)
    return StreamingResponse(encoded, 200, _saved_as(name), f"{kind}; charset=utf-8")


def file_name(*words: str) -> str:
    """A name of a CSV file from words that anybody can have chosen: letters and digits, and dashes for the rest."""
    plain = ("-".join(re.findall(r"\w+", word))[:60] for word in words)
    return f"{'-'.join(filter(None, plain))}.csv"


def _saved_as(name: str) -> dict[str, str]:
    """The headers of a download. A name with other letters than ASCII is sent in a second form (RFC 6266)."""
    ascii_only = name.encode("ascii", "ignore").decode()
    disposition = f'attachment; filename="{ascii_only}"'
    return {
        **HEADERS,
        "Content-Disposition": disposition if ascii_only == name else f"{disposition}; filename*=UTF-8''{quote(name)}",
    }
