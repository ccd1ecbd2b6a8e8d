"""The members of all groups who lack a license, or have an error, in one list."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from shared.domain.concurrency import together
from shared.domain.directory import LicenseError
from shared.domain.errors import BadRequest
from shared.domain.ids import GroupId, SkuId
from shared.domain.read_models import EVERYBODY, MemberFilter, MemberRow
from shared.handlers.views.license_center import ManagedGroup, managed_groups
from shared.handlers.views.needs import Needs

MOST_READS = 40
"""Reads of error lists for one page: if few of very many match, the page is short and has a next one."""

AT_ONCE = 8
"""Lists that are read at the same time: as many groups can have one member each."""

_TOKEN = re.compile(r"([0-9a-f-]{36})~(.*)", re.DOTALL)


async def members_with_errors(
    world: Needs, top: int, after: str | None, wanted: MemberFilter = EVERYBODY, group_id: str = ""
) -> tuple[tuple[MemberRow, ...], str | None]:
    """Members in error or waiting, group by group; a user of two groups has two rows. `after` is a token of an earlier
    answer. Raises BadRequest for a token that is none."""
    first, token = _place(after)
    groups = {
        each.assignment.group_id: each.status.with_errors
        for each in await managed_groups(world)
        if _can_have(each, wanted) and group_id in ("", each.assignment.group_id)
    }
    ids = sorted(groups)
    later = [each for each in ids if each >= first]
    rows: list[MemberRow] = []
    reads = 0
    while later:
        room = top - len(rows)
        part = _filling(later, groups, room)[: MOST_READS - reads]
        tokens = [token if each == first else None for each in part]
        found = await together(
            world.stores.members.errors(each, room, of_group, wanted)
            for each, of_group in zip(part, tokens, strict=True)
        )
        reads += len(part)
        for each, of_group, (members, rest) in zip(part, tokens, found, strict=True):
            room = top - len(rows)
            if len(members) > room:
                members, rest = await world.stores.members.errors(each, room, of_group, wanted)
            rows += members
            if len(rows) == top:
                return tuple(rows), _next(ids, each, rest)
            if rest is not None:
                first, token = each, rest
                break
            later.remove(each)
        if later and reads >= MOST_READS:
            return tuple(rows), f"{later[0]}~{(token if later[0] == first else None) or ''}"
    return tuple(rows), None


def _filling(groups: Sequence[GroupId], errors: Mapping[GroupId, int], room: int) -> list[GroupId]:
    """The next groups whose members probably fill a page, at most as many as are read at once."""
    found: list[GroupId] = []
    for each in groups[:AT_ONCE]:
        found.append(each)
        room -= max(1, errors[each])
        if room <= 0:
            break
    return found


def _can_have(group: ManagedGroup, wanted: MemberFilter) -> bool:
    """Whether the group can have such members, by its counts. A group without counts can."""
    if not group.status.counts:
        return True
    counts = group.status.products.get(SkuId(wanted.sku_id)) if wanted.sku_id else None
    has_product = counts is None or bool(counts.waiting or counts.errors)
    # Users who only wait are not counted by cause.
    is_cause = wanted.error not in ("", LicenseError.COUNT_VIOLATION)
    has_cause = not is_cause or bool(group.status.causes.get(wanted.error))
    return bool(group.status.with_errors) and has_product and has_cause


def _next(ids: list[GroupId], group_id: GroupId, token: str | None) -> str | None:
    if token is not None:
        return f"{group_id}~{token}"
    later = [each for each in ids if each > group_id]
    return f"{later[0]}~" if later else None


def _place(after: str | None) -> tuple[str, str | None]:
    if after is None:
        return "", None
    match = _TOKEN.fullmatch(after)
    if match is None:
        raise BadRequest("InvalidSkipToken", "$skiptoken is not from an earlier answer.", "$skiptoken")
    return match[1], match[2] or None
