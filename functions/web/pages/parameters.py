"""Query parameters that several pages take, and how many rows they show."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from shared.handlers.views import license_center

ROWS = 50
"""Rows of a table on one page."""

Text = Annotated[str, Query(max_length=license_center.MAX_SEARCH)]
Token = Annotated[str | None, Query(min_length=1, max_length=2048)]
