"""Searches as the page and the downloads take them: members by state; the audit log by whom, what, and when."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import BeforeValidator

from functions.web import requests
from functions.web.errors import HttpError, fault_at, invalid
from functions.web.parameters import NO_NAME
from shared.domain.directory import LicenseError
from shared.domain.ids import GroupId, is_guid
from shared.domain.member_status import MemberState
from shared.domain.read_models import EVERYBODY, AuditEntry, AuditFilter, MemberFilter, MemberRow
from shared.handlers.views import license_center, queries
from shared.ports.world import World

MAX_DEAD_LETTER_TEXT = 120
DOWNLOADED = 500
"""Entries of the audit log that a download reads at once."""

SHOWN_ACTS = 20
"""Acts on many dead letters that are listed."""

Moment = Annotated[
    str, Query(max_length=40, description="A date or a time, as in ISO 8601; UTC where no zone is given.")
]

Activity = Annotated[str, Query(max_length=license_center.MAX_SEARCH, description="A part of an activity.")]

Shown = Literal["errors", "all"] | MemberState
"""Which members of a group are shown."""


OfError = Annotated[LicenseError | None, BeforeValidator(lambda text: text or None), Query()]
OfProduct = Annotated[str, Query(max_length=36, description="Those with a problem with this product only: its skuId.")]


async def shown_members(
    world: World, group_id: GroupId, top: int, after: str | None, show: Shown, wanted: MemberFilter = EVERYBODY
) -> tuple[tuple[MemberRow, ...], str | None]:
    """A page of them."""
    if show == "errors":
        return await queries.members_with_errors(world, group_id, top, after, wanted)
    state = MemberState(show) if show != "all" else None
    if state is not None and state.needs_a_person and (wanted.error or wanted.sku_id):
        rows, token = await queries.members_with_errors(world, group_id, top, after, wanted)
        return tuple(row for row in rows if row.state is state), token
    return await queries.members(world, group_id, top, after, state, wanted)


async def _members_wanted(error: OfError = None, product: OfProduct = "") -> MemberFilter:
    """The filter in the address of a group's page; an empty field lets every member pass."""
    return MemberFilter("", error or "", product.strip().lower())


TheMemberFilter = Annotated[MemberFilter, Depends(_members_wanted)]


def member_fields(show: Shown, wanted: MemberFilter) -> dict[str, str]:
    """The filter as fields of a form or an address."""
    named = {"show": show, "name": wanted.text, "error": wanted.error, "product": wanted.sku_id}
    return {name: value for name, value in named.items() if value}


def _in_address(name: str) -> HttpError:
    return invalid([fault_at(name, NO_NAME, "NameInAddress")])


def _id_of(text: str, name: str) -> str:
    """The ID in an address, empty for none. Raises HttpError for what can be a name."""
    found = text.strip().lower()
    if found and not is_guid(found):
        raise _in_address(name)
    return found


@dataclass(frozen=True, slots=True)
class AuditSearch:
    """Which entries are asked for. `since` and `until` are as the caller wrote them."""

    wanted: AuditFilter
    since: str
    until: str

    async def page(self, world: World, top: int, after: str | None = None) -> tuple[Sequence[AuditEntry], str | None]:
        """A page of the entries, newest first. Raises HttpError and BadRequest, naming what is wrong."""
        since, until = moment(self.since, "since"), moment(self.until, "until")
        return await license_center.audit(world, self.wanted, top, after=after, since=since, until=until)

    async def resolved(self, world: World, groups: Mapping[GroupId, str]) -> tuple[AuditSearch, str]:
        """The search with ids where a user or a group was named, and what could not be found. `groups`: names of
        managed groups, which come first."""
        user, group = self.wanted.user_id, self.wanted.group_id
        if user and not is_guid(user):
            people = await license_center.find_users(world, user)
            exact = [each for each in people if user in (each.user_principal_name.lower(), each.display_name.lower())]
            chosen = exact if len(exact) == 1 else people
            if len(chosen) != 1:
                return (
                    self,
                    f"{len(people) or 'No'} users match {user!r}. Enter the sign-in name.",
                )
            user = chosen[0].id
        if group and not is_guid(group):
            named = [each for each, name in groups.items() if name.lower() == group]
            others = () if named else await license_center.find_groups(world, group)
            ids = named or [each.group.id for each in others]
            if len(ids) != 1:
                return self, f"{len(ids) or 'No'} groups have the name {group!r}: give the id."
            group = ids[0]
        return replace(self, wanted=replace(self.wanted, user_id=user, group_id=group)), ""

    async def pages(self, world: World) -> AsyncIterator[Sequence[AuditEntry]]:
        """All entries, page by page. The first page is read at once, so that a fault of the search is raised here."""
        first, after = await self.page(world, DOWNLOADED)

        async def following() -> AsyncIterator[Sequence[AuditEntry]]:
            entries, token = first, after
            yield entries
            while token is not None:
                entries, token = await self.page(world, DOWNLOADED, token)
                yield entries

        return following()

    def parameters(self) -> dict[str, str]:
        """The search as fields of a form, or of an address if it has only IDs."""
        named = {
            "user": self.wanted.user_id,
            "group": self.wanted.group_id,
            "initiatedBy": self.wanted.initiator,
            "activity": self.wanted.activity,
            "since": self.since,
            "until": self.until,
        }
        return {name: value for name, value in named.items() if value}


def moment(text: str, name: str) -> datetime | None:
    """The time that was written; a date as `until` means its end. Raises HttpError."""
    if not text:
        return None
    try:
        return requests.end_of(text) if name == "until" else requests.moment(text)
    except ValueError as fault:
        raise invalid([fault_at(name, str(fault))]) from fault


async def _search(
    user: Annotated[str, Query(max_length=36, description="A user's id.")] = "",
    group: Annotated[str, Query(max_length=36, description="A group's id.")] = "",
    initiator: Annotated[str, Query(alias="initiatedBy", max_length=36, description="The id of who acted.")] = "",
    activity: Activity = "",
    since: Moment = "",
    until: Moment = "",
) -> AuditSearch:
    by = _id_of(initiator, "initiatedBy")
    wanted = AuditFilter(_id_of(user, "user"), _id_of(group, "group"), by, activity.strip())
    return AuditSearch(wanted, since.strip(), until.strip())


TheAuditSearch = Annotated[AuditSearch, Depends(_search)]
