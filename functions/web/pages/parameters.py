"""Query parameters that several pages take, how many rows they show, and the way from page to page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query

from functions.web.pages.forms import Form
from shared.handlers.views import license_center

ROWS = 50
"""Rows of a table on one page."""

Text = Annotated[str, Query(max_length=license_center.MAX_SEARCH)]
MOST_BEFORE = 20
"""Pages before the shown one that an address names, so that a person can page back."""

MOST_PLACES = 4000
"""Characters of their tokens: an address has room for about 8,000."""

Token = Annotated[str | None, Query(min_length=1, max_length=2048)]

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """The shown page of a table: the token after which it begins, and those of the pages before. The first page has
    none. Tokens only lead on, so an address keeps them for the way back."""

    after: str | None = None
    before: tuple[str, ...] = ()

    @property
    def is_first(self) -> bool:
        return self.after is None

    def first(self, fields: Mapping[str, str]) -> Fields:
        """The fields of the first page."""
        return tuple(fields.items())

    def previous(self, fields: Mapping[str, str]) -> Fields:
        """The fields of the page before; only if `before` is not empty."""
        *earlier, last = self.before
        return (*fields.items(), ("after", last), *(("before", each) for each in earlier))

    def next(self, fields: Mapping[str, str], token: str) -> Fields:
        """The fields of the page that begins after `token`."""
        known = [*self.before, *([self.after] if self.after else [])][-MOST_BEFORE:]
        while sum(map(len, known)) > MOST_PLACES:
            known.pop(0)
        return (*fields.items(), ("after", token), *(("before", each) for each in known))


async def _place(
    after: Token = None,
    before: Annotated[list[str], Query(max_length=MOST_BEFORE)] = [],  # noqa: B006 - FastAPI copies the default, and nothing changes it
) -> Place:
    return Place(after, tuple(before))


ThePlace = Annotated[Place, Depends(_place)]


def place_of(form: Form) -> Place:
    """The place that a form sends."""
    return Place(form.get("after") or None, tuple(form.all("before")[:MOST_BEFORE]))
