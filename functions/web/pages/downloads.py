"""Downloads: CSV that a spreadsheet opens safely, and the answer that is saved as a file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from starlette.responses import Response

from functions.web.pages.rendering import HEADERS

MAX_ROWS = 10_000
"""Rows of one download; the API pages through more."""

_FORMULA = re.compile(r"""(^|[;,|\t\r\n])(?=["'\s]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r])""")
"""Where a spreadsheet may find the beginning of a formula (owasp.org/www-community/attacks/CSV_Injection): at the
beginning of a cell, behind quotes and blanks, and after what it may take for the end of a cell, since programs of other
languages part cells by semicolons. Full-width signs count too."""


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV whose cells no spreadsheet takes for formulas; it begins with a mark by which they see that it is UTF-8."""
    out = io.StringIO("\ufeff")
    out.seek(0, io.SEEK_END)
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    writer.writerows([safe(str(cell)) for cell in row] for row in rows)
    return out.getvalue()


def safe(cell: str) -> str:
    """The cell with an apostrophe before each formula, as which it is shown and not run."""
    return _FORMULA.sub(r"\1'", cell)


def download(name: str, text: str, kind: str) -> Response:
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.encode(), 200, headers, f"{kind}; charset=utf-8")
