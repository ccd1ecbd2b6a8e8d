"""Searches as the page and the downloads take them: members by state; the audit log by whom, what, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import Depends, Query

from functions.web.errors import HttpError
from shared.domain.model import GroupId, MemberState
from shared.domain.records import AuditEntry, AuditFilter, MemberRow
from shared.handlers import center, queries
from shared.ports import World

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, tzinfo=UTC)

Moment = Annotated[
    str, Query(max_length=40, description="A date or a time, as in ISO 8601; UTC where no zone is given.")
]

Shown = Literal["errors", "all"] | MemberState
"""Which members of a group are shown."""


async def shown_members(
    world: World, group_id: GroupId, top: int, after: str | None, show: Shown
) -> tuple[tuple[MemberRow, ...], str | None]:
    """A page of them."""
    if show == "errors":
        return await queries.members_with_errors(world, group_id, top, after)
    return await queries.members(world, group_id, top, after, MemberState(show) if show != "all" else None)


@dataclass(frozen=True, slots=True)
class AuditSearch:
    """Which entries are asked for. `since` and `until` are as the caller wrote them."""

    wanted: AuditFilter
    since: str
    until: str

    async def page(self, world: World, top: int, after: str | None = None) -> tuple[Sequence[AuditEntry], str | None]:
        """A page of the entries, newest first. Raises HttpError and BadRequest, naming what is wrong."""
        since, until = _moment(self.since, "since"), _moment(self.until, "until")
        return await center.audit(world, self.wanted, top, after=after, since=since, until=until)

    async def all(self, world: World, most: int) -> list[AuditEntry]:
        """At most so many entries, of as many pages as it takes."""
        found: list[AuditEntry] = []
        after: str | None = None
        while True:
            entries, after = await self.page(world, most - len(found), after)
            found += entries
            if after is None or len(found) >= most:
                return found

    def parameters(self) -> dict[str, str]:
        """The search as query parameters."""
        named = {
            "user": self.wanted.user_id,
            "group": self.wanted.group_id,
            "actor": self.wanted.actor,
            "activity": self.wanted.activity,
            "since": self.since,
            "until": self.until,
        }
        return {name: value for name, value in named.items() if value}


def _moment(text: str, name: str) -> datetime | None:
    """The time that was written; a date as `until` means its end. Raises HttpError."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        if not EARLIEST <= found <= LATEST:
            raise ValueError(text)
    except (ValueError, OverflowError) as fault:
        must = f"{name} must be a date or a time as in ISO 8601, of the years {EARLIEST.year} to {LATEST.year}."
        raise HttpError(400, "InvalidRequest", must, name) from fault
    return found + timedelta(days=1) if name == "until" and len(text) <= len("2026-01-31") else found


async def _search(
    user: Annotated[str, Query(max_length=center.MAX_SEARCH, description="A user's id.")] = "",
    group: Annotated[str, Query(max_length=center.MAX_SEARCH, description="A group's id.")] = "",
    actor: Annotated[str, Query(max_length=center.MAX_SEARCH, description="A part of a name.")] = "",
    activity: Annotated[str, Query(max_length=center.MAX_SEARCH, description="A part of an activity.")] = "",
    since: Moment = "",
    until: Moment = "",
) -> AuditSearch:
    wanted = AuditFilter(user.strip().lower(), group.strip().lower(), actor.strip(), activity.strip())
    return AuditSearch(wanted, since.strip(), until.strip())


TheAuditSearch = Annotated[AuditSearch, Depends(_search)]
