"""The members of all groups who lack a license, or have an error, in one list."""

from __future__ import annotations

import re

from shared.domain.errors import BadRequest
from shared.domain.ids import GroupId, SkuId
from shared.domain.read_models import EVERYBODY, MemberFilter, MemberRow
from shared.handlers.views.license_center import ManagedGroup, managed_groups
from shared.handlers.views.needs import Needs

MOST_READS = 40
"""Reads of error lists for one page: if few of very many match, the page is short and has a next one."""

_TOKEN = re.compile(r"([0-9a-f-]{36})~(.*)", re.DOTALL)


async def members_with_errors(
    world: Needs, top: int, after: str | None, wanted: MemberFilter = EVERYBODY, group_id: str = ""
) -> tuple[tuple[MemberRow, ...], str | None]:
    """Members in error or waiting, group by group; a user of two groups has two rows. `after` is a token of an earlier
    answer. Raises BadRequest for a token that is none."""
    first, token = _place(after)
    groups = [each for each in await managed_groups(world) if _can_have(each, wanted)]
    ids = sorted(each.assignment.group_id for each in groups if group_id in ("", each.assignment.group_id))
    rows: list[MemberRow] = []
    reads = 0
    for each in (each for each in ids if each >= first):
        token = token if each == first else None
        while True:
            found, token = await world.stores.members.errors(each, top - len(rows), token, wanted)
            rows += found
            reads += 1
            if len(rows) == top or reads == MOST_READS:
                return tuple(rows), _next(ids, each, token)
            if token is None:
                break
    return tuple(rows), None


def _can_have(group: ManagedGroup, wanted: MemberFilter) -> bool:
    """Whether the group can have such members, by its counts. A group without counts can."""
    if not group.status.counts:
        return True
    counts = group.status.products.get(SkuId(wanted.sku_id)) if wanted.sku_id else None
    has_product = counts is None or bool(counts.waiting or counts.errors)
    return bool(group.status.with_errors) and has_product


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
