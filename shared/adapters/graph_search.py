"""Finding users and groups by what people know of them: one batch with a filter, a search, and a read by id.

`$search` finds words inside display names, but asks an index that lags and is not there in every tenant
(learn.microsoft.com/graph/search-query-parameter, learn.microsoft.com/graph/aad-advanced-queries). `$filter` needs no
such index and finds the beginning of a property (learn.microsoft.com/graph/filter-query-parameter). Both are asked, and
a search that Graph rejects is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from urllib.parse import quote
from uuid import UUID

from shared.adapters import graph_json
from shared.adapters.graph_batch import BATCH_LIMIT, Item, ItemReply, literal, segment
from shared.domain.directory import DirectoryGroup, FoundUser
from shared.domain.errors import PermissionDenied, Unavailable
from shared.domain.ids import UserId

Batch = Callable[[Sequence[Item]], Awaitable[tuple[ItemReply | None, ...]]]
Found = TypeVar("Found", FoundUser, DirectoryGroup)

EVENTUAL = {"ConsistencyLevel": "eventual"}
"""The header of advanced queries."""

BEGINNINGS = ("displayName", "surname", "userPrincipalName", "mail")
"""Properties of users that are found by their beginning; all of them support `startsWith` in a filter
(learn.microsoft.com/graph/api/resources/user)."""

IDS_AT_ONCE = 15
"""Values of one `in` (github.com/microsoftgraph/microsoft-graph-docs/issues/21098)."""

log = logging.getLogger(__name__)


async def find_users(batch: Batch, text: str, top: int) -> tuple[FoundUser, ...]:
    """Raises Unavailable, and PermissionDenied if Graph does not let the app read users."""
    wanted = literal(text)
    clauses = [*(f"startswith({name},{wanted})" for name in BEGINNINGS), f"employeeId eq {wanted}"]
    rows = await _rows(batch, "users", graph_json.FOUND_USER_SELECT, quote(" or ", safe="").join(clauses), text, top)
    found = {user.id: user for user in map(graph_json.found_user, rows)}
    return tuple(sorted(found.values(), key=lambda user: _place(text, user))[:top])


async def users_found(batch: Batch, user_ids: Sequence[UserId]) -> dict[UserId, FoundUser]:
    """Users by id, some in each item of a batch: a list costs one unit, as a single user does. Raises Unavailable, and
    PermissionDenied if Graph does not let the app read users."""
    wanted, found = sorted(set(user_ids)), list[FoundUser]()
    items = [_by_ids(wanted[start : start + IDS_AT_ONCE]) for start in range(0, len(wanted), IDS_AT_ONCE)]
    for start in range(0, len(items), BATCH_LIMIT):
        for reply in await batch(items[start : start + BATCH_LIMIT]):
            found += map(graph_json.found_user, _values(reply, "users"))
    return {user.id: user for user in found}


def _by_ids(user_ids: Sequence[UserId]) -> Item:
    wanted = f"id%20in%20({','.join(map(literal, user_ids))})"
    return Item("GET", f"/users?$select={graph_json.FOUND_USER_SELECT}&$top={IDS_AT_ONCE}&$filter={wanted}")


def _place(text: str, user: FoundUser) -> tuple[bool, str, str]:
    """Users with exactly this identifier first, then by name."""
    identifiers = {each.casefold() for each in (user.id, user.user_principal_name, user.mail, user.employee_id)}
    return text.casefold() not in identifiers, user.display_name.casefold(), user.user_principal_name.casefold()


async def find_groups(batch: Batch, text: str, top: int) -> tuple[DirectoryGroup, ...]:
    """Raises Unavailable, and PermissionDenied if Graph does not let the app read groups."""
    clause = f"startswith(displayName,{literal(text)})"
    rows = await _rows(batch, "groups", graph_json.GROUP_SELECT, clause, text, top)
    found = {group.id: group for group in map(graph_json.group, rows)}
    return tuple(sorted(found.values(), key=lambda group: group.display_name.casefold())[:top])


async def _rows(batch: Batch, kind: str, select: str, clause: str, text: str, top: int) -> list[graph_json.Row]:
    """The objects of one kind that any of the questions finds; some of them more than once."""
    if not text.strip():
        return []
    columns = f"$select={select}&$top={top}"
    by_filter = Item("GET", f"/{kind}?{columns}&$filter={clause.replace(' ', '%20')}")
    by_words = Item("GET", f"/{kind}?{columns}&$count=true&$search={_by_name(text)}", headers=EVENTUAL)
    by_id = [Item("GET", f"/{kind}/{segment(text)}?$select={select}")] if _is_id(text) else []
    filtered, searched, *read = await batch([by_filter, by_words, *by_id])
    rows = _values(filtered, kind)
    if searched is not None and searched.status == 400:
        log.warning("the search for words was left out: %s", searched)
    else:
        rows += _values(searched, kind)
    # 404: no object has this id. Any other failure must not look like that.
    return rows + [_body(reply, kind) for reply in read if reply is None or reply.status != 404]


def _by_name(text: str) -> str:
    """A clause of `$search`: quotation marks and backslashes are escaped with a backslash."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return quote(f'"displayName:{escaped}"', safe="")


def _values(reply: ItemReply | None, kind: str) -> list[graph_json.Row]:
    return graph_json.values(_body(reply, kind), kind)


def _body(reply: ItemReply | None, kind: str) -> graph_json.Row:
    if reply is None:
        raise Unavailable(None, f"{kind}: the answer is missing from the batch")
    if reply.status in (401, 403):
        raise PermissionDenied(str(reply))
    if not reply.ok or not isinstance(reply.body, dict):
        raise Unavailable(reply.retry_after_s, str(reply))
    return reply.body


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
