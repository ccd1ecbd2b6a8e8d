"""Reading the directory from Graph: users with their groups, members of groups, products, the organization.

A read is complete or it fails. A missing item, a null property, a page without `value` or a broken chain of pages is
never taken for "no members" or "no licenses".
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import parse_qs, quote, urlsplit

from shared.adapters import graph_json
from shared.adapters.graph import GraphClient, Json, Rejection
from shared.adapters.graph_batch import BATCH_LIMIT, PATH, Item, ItemReply, answers, envelope, literal, segment
from shared.adapters.graph_json import Incomplete, SharedStates
from shared.adapters.graph_pages import pages
from shared.adapters.graph_search import find_groups, find_users, users_found
from shared.adapters.member_lists import MemberLists
from shared.adapters.shared_read import SharedRead
from shared.domain.denials import is_denial
from shared.domain.directory import (
    DirectoryGroup,
    DirectoryUser,
    FoundUser,
    NotAUser,
    ReadFailed,
    SubscribedSku,
    UserGone,
    UserRead,
)
from shared.domain.errors import NotFound, PermissionDenied, Unavailable
from shared.domain.ids import GroupId, SkuId, UserId
from shared.ports.directory import MOST_FOUND, Organization

PAGE_SIZE = 999
"""Largest `$top` for members (learn.microsoft.com/graph/api/group-list-transitivemembers)."""

GET_BY_IDS_LIMIT = 1000

ORGANIZATION_MAX_AGE_S = 3600.0
"""The tenant's country as good as never changes; every chunk of users needs it."""

REJECTED_MAX_AGE_S = 300.0
"""How long a rejected read of the organization counts: a person may be granting the permission just now."""

DENIED_MAX_AGE_S = 3600.0
"""How long a missing permission for getByIds counts: the reads one by one need no grant."""

UNKNOWN = Organization("", "", None)
"""The organization where Graph rejects the read."""

PARALLEL_BATCHES = 4
"""Of one reading; the connections are shared with everything else the process does."""

ADDRESSES_AT_ONCE = 7
"""Addresses of one filter, each in two spellings: Graph takes at most 15 clauses joined by "or"
(github.com/microsoftgraph/microsoft-graph-docs/issues/21098)."""

DEFINITE = frozenset({400, 401, 403})
"""Refusals of one user's read that waiting does not change, such as `Directory_ResultSizeLimitExceeded`."""

USER = "#microsoft.graph.user"
GROUP = "#microsoft.graph.group"
STATES = ",licenseAssignmentStates"

T = TypeVar("T")


log = logging.getLogger(__name__)


class GraphDirectory:
    """The directory as Graph shows it."""

    def __init__(self, graph: GraphClient, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._graph = graph
        self._skus = SharedRead(self._read_skus, monotonic)
        self._organization = SharedRead(self._read_organization, monotonic)
        self._monotonic, self._by_ids_at = monotonic, -math.inf
        self.member_list = MemberLists(self.member_ids, monotonic).get

    async def organization(self) -> Organization:
        """The tenant; an answer of the last hour is given again.

        Where Graph rejects the read, the country is not known (the page names Organization.Read.All; permission
        metadata also lists User.Read.All). That is logged, and users with a location of their own are licensed.
        """
        is_unknown = self._organization.last == UNKNOWN
        return await self._organization.get(REJECTED_MAX_AGE_S if is_unknown else ORGANIZATION_MAX_AGE_S)

    async def _read_organization(self) -> Organization:
        try:
            body = await self._get(f"/organization?$select={graph_json.ORGANIZATION_SELECT}")
        except (PermissionDenied, NotFound, Rejection) as rejection:
            log.warning("the organization cannot be read, so its country is not known: %s", rejection)
            return UNKNOWN
        rows = graph_json.values(body, "organization")
        if not rows:
            raise Unavailable(None, "Graph shows no organization")
        return graph_json.organization(rows[0])

    async def subscribed_skus(self, max_age_s: float = 30.0) -> tuple[SubscribedSku, ...]:
        """The tenant's products; those who ask at the same time share one request."""
        return await self._skus.get(max_age_s)

    async def _read_skus(self) -> tuple[SubscribedSku, ...]:
        body = await self._get(f"/subscribedSkus?$select={graph_json.SKU_SELECT}")
        found = [row async for rows in pages("subscribedSkus", body, self._follow) for row in rows]
        return tuple(map(graph_json.subscribed_sku, found))

    async def group(self, group_id: GroupId) -> DirectoryGroup:
        """Raises NotFound when there is no such group."""
        return graph_json.group(await self._get(f"/groups/{segment(group_id)}?$select={graph_json.GROUP_SELECT}"))

    async def find_groups(self, text: str, top: int = MOST_FOUND) -> tuple[DirectoryGroup, ...]:
        """Groups with this text in their name, word by word, or with this id, sorted by name."""
        return await find_groups(self._batch, text, top)

    async def groups_named(self, name: str) -> tuple[DirectoryGroup, ...]:
        """Names of groups are not unique; Graph compares them without case. Raises Unavailable, PermissionDenied."""
        wanted = f"displayName%20eq%20{literal(name)}"
        body = await self._get(f"/groups?$select={graph_json.GROUP_SELECT}&$top={MOST_FOUND}&$filter={wanted}")
        return tuple(graph_json.group(row) for row in graph_json.values(body, "groups"))

    async def find_users(self, text: str, top: int = MOST_FOUND) -> tuple[FoundUser, ...]:
        """Users by parts of their name, surname, userPrincipalName, mail, employeeId or id, sorted by name."""
        return await find_users(self._batch, text, top)

    async def users_found(self, user_ids: Sequence[UserId]) -> Mapping[UserId, FoundUser]:
        return await users_found(self._batch, user_ids)

    async def holders(
        self, sku_id: SkuId, top: int, after: str | None = None
    ) -> tuple[tuple[DirectoryUser, ...], str | None]:
        """By a filter on `assignedLicenses`, the licenses that a user has from any source
        (learn.microsoft.com/graph/api/resources/user). `after` is the `$skiptoken` of Graph."""
        wanted = f"assignedLicenses/any(a:a/skuId%20eq%20{segment(sku_id)})"
        place = f"&$skiptoken={quote(after, safe='')}" if after else ""
        body = await self._get(f"/users?$select={graph_json.USER_SELECT}&$top={top}&$filter={wanted}{place}")
        users = tuple(graph_json.user(row) for row in graph_json.values(body, "users"))
        link = body.get("@odata.nextLink")
        tokens = parse_qs(urlsplit(link).query).get("$skiptoken", []) if isinstance(link, str) else []
        return users, tokens[0] if tokens else None

    async def address_holders(self, addresses: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """The ids of the users and groups that have an e-mail address, for each address that any of them has.

        Addresses are asked for in both spellings of their kind, since how Graph compares them is not documented.
        """
        wanted = sorted({address.lower() for address in addresses})
        items = [
            Item("GET", f"/{path}?$select=id,proxyAddresses&$top={PAGE_SIZE}&$filter={_any_address(part)}")
            for part in _parts(wanted, ADDRESSES_AT_ONCE)
            for path in ("users", "groups")
        ]
        holders: dict[str, set[str]] = {}
        for step in _parts(items, BATCH_LIMIT * PARALLEL_BATCHES):
            for replies in await asyncio.gather(*map(self._batch, _parts(step, BATCH_LIMIT))):
                for row in (row for reply in replies for row in _rows_of(reply)):
                    for address in graph_json.addresses(row):
                        holders.setdefault(address, set()).add(str(row.get("id")).lower())
        return {each: frozenset(holders[each.lower()]) for each in addresses if each.lower() in holders}

    async def users(self, user_ids: Sequence[UserId], *, with_groups: bool = True) -> Mapping[UserId, UserRead]:
        """One read per id, every id present. Raises Unavailable when Graph cannot be reached at all."""
        wanted = list(dict.fromkeys(user_ids))
        reads: dict[UserId, UserRead] = {}
        for part in _parts(wanted, BATCH_LIMIT * PARALLEL_BATCHES):
            chunks = _parts(part, BATCH_LIMIT)
            for found in await asyncio.gather(*(self._chunk(chunk, with_groups) for chunk in chunks)):
                reads.update(found)
        unknown = [user_id for user_id, read in reads.items() if isinstance(read, UserGone)]
        for start in range(0, len(unknown), GET_BY_IDS_LIMIT):
            reads.update(await self._kinds(unknown[start : start + GET_BY_IDS_LIMIT]))
        return reads

    async def member_pages(
        self, group_id: GroupId, nested: set[GroupId] | None = None
    ) -> AsyncIterator[Sequence[DirectoryUser]]:
        """All users in the group, transitively, page by page, in few objects and without time of last update.

        No type cast in the address: it would need the advanced index, which lags behind more. Raises NotFound,
        Unavailable; PermissionDenied when members come without their properties.
        """
        shared = SharedStates()
        async for rows in pages(f"members of group {group_id}", await self._first_page(group_id), self._follow):
            if nested is not None:
                nested.update(GroupId(str(row["id"]).lower()) for row in rows if _type_of(row) == GROUP)
            yield await self._members([row for row in rows if _type_of(row) == USER], shared)

    async def member_ids(self, group_id: GroupId) -> AsyncIterator[Sequence[UserId]]:
        """The ids of all users in the group, transitively, page by page. Raises NotFound, Unavailable."""
        body = await self._get(f"/groups/{segment(group_id)}/transitiveMembers?$select=id&$top={PAGE_SIZE}")
        async for rows in pages(f"members of group {group_id}", body, self._follow):
            yield [UserId(str(row["id"]).lower()) for row in rows if _type_of(row) == USER]

    async def groups_of_unit(self, unit_id: str) -> frozenset[GroupId]:
        """Cast to groups (learn.microsoft.com/graph/api/administrativeunit-list-members), because a unit can have all
        people of the tenant too. If Graph rejects the cast, all members are read. Raises NotFound, PermissionDenied,
        Unavailable."""
        address = f"/directory/administrativeUnits/{segment(unit_id)}/members"
        try:
            body = await self._get(f"{address}/microsoft.graph.group")
        except Rejection as rejection:
            if rejection.status != 400:
                raise
            body = await self._get(address)
        found = pages(f"groups of administrative unit {unit_id}", body, self._follow)
        rows = [row async for page in found for row in page]
        return frozenset(GroupId(str(row["id"]).lower()) for row in rows if row.get("@odata.type", GROUP) == GROUP)

    async def _follow(self, link: str) -> Json:
        return await self._get(self._graph.path_of(link))

    async def _first_page(self, group_id: GroupId) -> Json:
        address = f"/groups/{segment(group_id)}/transitiveMembers?$select={{}}&$top={PAGE_SIZE}"
        try:
            return await self._get(address.format(graph_json.USER_SELECT))
        except Rejection as rejection:
            if rejection.status != 400:
                raise
            # Selecting the states on members is not documented: where it is rejected, each user is read instead.
            return await self._get(address.format(graph_json.USER_SELECT.removesuffix(STATES)))

    async def _members(self, rows: Sequence[Json], shared: SharedStates) -> Sequence[DirectoryUser]:
        try:
            return [graph_json.user(row, shared=shared) for row in rows]
        except Incomplete as fault:
            if fault.shape != "user":
                raise
            if fault.name != "licenseAssignmentStates":
                raise PermissionDenied(f"members come without {fault.name}; is User.Read.All granted?") from fault
        return await self.members_one_by_one([UserId(str(row.get("id")).lower()) for row in rows])

    async def members_one_by_one(self, user_ids: Sequence[UserId]) -> Sequence[DirectoryUser]:
        found: list[DirectoryUser] = []
        for user_id, read in (await self.users(user_ids, with_groups=False)).items():
            match read:
                case DirectoryUser():
                    found.append(read)
                case ReadFailed(rejected=True, why=why) | ReadFailed(denied=True, why=why):
                    raise PermissionDenied(f"user {user_id} cannot be read; is User.Read.All granted? {why}")
                case ReadFailed(why=why, retry_after_s=retry_after_s):
                    raise Unavailable(retry_after_s, f"user {user_id} could not be read: {why}")
                case UserGone() | NotAUser():
                    continue
        return found

    async def _chunk(self, user_ids: Sequence[UserId], with_groups: bool) -> dict[UserId, UserRead]:
        """At most 20 users: properties in one batch, groups in another, at the same time."""
        properties = [Item("GET", f"/users/{segment(each)}?$select={_USER_COLUMNS}") for each in user_ids]
        groups = [
            Item("POST", f"/users/{segment(each)}/getMemberGroups", {"securityEnabledOnly": False}) for each in user_ids
        ]
        try:
            user_replies, group_replies = await asyncio.gather(
                self._batch(properties), self._batch(groups if with_groups else [])
            )
        except PermissionDenied as rejection:
            return {user_id: ReadFailed(str(rejection), denied=True) for user_id in user_ids}
        except Rejection as rejection:
            return {user_id: ReadFailed(str(rejection), rejected=True) for user_id in user_ids}
        return {
            user_id: _user_read(user_replies[at], group_replies[at] if with_groups else _NO_GROUPS)
            for at, user_id in enumerate(user_ids)
        }

    async def _batch(self, items: Sequence[Item]) -> tuple[ItemReply | None, ...]:
        if not items:
            return ()
        try:
            return answers(await self._graph.read(PATH, envelope(items)), len(items))
        except NotFound as fault:  # of the batch as a whole; it says nothing about the users
            raise Unavailable(None, str(fault), rejected=True) from fault

    async def _kinds(self, user_ids: Sequence[UserId]) -> dict[UserId, UserRead]:
        """What ids are that are no users'."""
        try:
            types = await self._types(user_ids)
        except PermissionDenied as rejection:
            return {user_id: ReadFailed(str(rejection), denied=True) for user_id in user_ids}
        except Unavailable as fault:
            return {user_id: ReadFailed(str(fault), fault.retry_after_s, fault.rejected) for user_id in user_ids}
        return {user_id: _kind(types.get(user_id.lower())) for user_id in user_ids}

    async def kinds(self, ids: Sequence[str]) -> Mapping[str, str | None]:
        """The type of each id."""
        found: dict[str, str | None] = dict.fromkeys(ids)
        for start in range(0, len(ids), GET_BY_IDS_LIMIT):
            types = await self._types(ids[start : start + GET_BY_IDS_LIMIT])
            found.update({each: odata_type.rpartition(".")[2] for each, odata_type in types.items()})
        return found

    async def _types(self, ids: Sequence[str]) -> dict[str, str]:
        """The `@odata.type` of each id that the directory has (learn.microsoft.com/graph/api/directoryobject-getbyids).

        If Graph rejects this call, users and groups are read one by one. The page of getByIds names
        Directory.Read.All, which the app does not need for anything else; a 403 is remembered for an hour.
        """
        if self._monotonic() < self._by_ids_at:
            return await self._types_one_by_one(ids)
        try:
            body = (await self._graph.read("/directoryObjects/getByIds?$select=id", {"ids": list(ids)})).json()
        except NotFound as fault:  # of the call as a whole; it says nothing about the ids
            raise Unavailable(None, str(fault), rejected=True) from fault
        except (PermissionDenied, Rejection) as rejection:
            if isinstance(rejection, PermissionDenied):
                self._by_ids_at = self._monotonic() + DENIED_MAX_AGE_S
            log.warning("getByIds is rejected, so ids are read one by one: %s", rejection)
            return await self._types_one_by_one(ids)
        rows = graph_json.values(body, "getByIds")
        return {str(row.get("id")).lower(): _type_of(row) for row in rows if isinstance(row, dict)}

    async def _types_one_by_one(self, ids: Sequence[str]) -> dict[str, str]:
        """Users and groups among ids; anything else, such as a device, is not found."""
        found: dict[str, str] = {}
        for odata_type, path in ((USER, "users"), (GROUP, "groups")):
            left = [each for each in ids if each not in found]
            for start in range(0, len(left), BATCH_LIMIT):
                part = left[start : start + BATCH_LIMIT]
                replies = await self._batch([Item("GET", f"/{path}/{segment(each)}?$select=id") for each in part])
                for each, reply in zip(part, replies, strict=True):
                    if reply is None or not (reply.ok or reply.status == 404):
                        rejected = reply is not None and reply.status in DEFINITE
                        wait = reply.retry_after_s if reply is not None else None
                        raise Unavailable(wait, f"{each}: {reply or 'the answer is missing'}", rejected=rejected)
                    if reply.ok:
                        found[each] = odata_type
        return found

    async def _get(self, path: str) -> Json:
        return (await self._graph.read(path)).json()


_USER_COLUMNS = f"{graph_json.USER_SELECT},assignedLicenses"
_NO_GROUPS = ItemReply(200, {}, {"value": []})


def _parts(whole: Sequence[T], size: int) -> list[Sequence[T]]:
    return [whole[at : at + size] for at in range(0, len(whole), size)]


def _any_address(addresses: Sequence[str]) -> str:
    """A filter for objects that have any of the addresses."""
    kinds = [f"{kind}:{address}" for address in addresses for kind in ("SMTP", "smtp")]
    return quote(" or ", safe="").join(f"proxyAddresses/any(a:a%20eq%20{literal(each)})" for each in kinds)


def _rows_of(reply: ItemReply | None) -> Sequence[Json]:
    """The rows of a list in a batch. Raises Unavailable without one."""
    if reply is None or not reply.ok:
        rejected = reply is not None and reply.status in DEFINITE
        raise Unavailable(reply.retry_after_s if reply else None, f"a list failed: {reply}", rejected=rejected)
    return graph_json.values(_body(reply), "addresses")


def _type_of(row: object) -> str:
    """The `@odata.type` of a member. Raises Incomplete without one: it could be a user."""
    kind = row.get("@odata.type") if isinstance(row, dict) else None
    if not isinstance(kind, str):
        raise Incomplete("directoryObject", "@odata.type")
    return kind


def _kind(odata_type: str | None) -> UserRead:
    match odata_type:
        case None:
            return UserGone()
        case "#microsoft.graph.user":
            return ReadFailed("Graph knows the user in one place and not in another; it is being replicated")
        case other:
            return NotAUser(other.rpartition(".")[2])


def _user_read(properties: ItemReply | None, groups: ItemReply | None) -> UserRead:
    """What two answers say of one user. A 404 is not the last word: the id may be of something else."""
    if properties is not None and properties.status == 404:
        return UserGone()
    for reply in (properties, groups):
        if reply is None:
            return ReadFailed("the answer is missing from the batch")
        if not reply.ok:
            denied = is_denial(reply.status)
            return ReadFailed(str(reply), reply.retry_after_s, not denied and reply.status in DEFINITE, denied)
    try:
        group_ids = graph_json.ids(graph_json.values(_body(groups), "getMemberGroups"), "getMemberGroups", GroupId)
        body = _body(properties)
        graph_json.values({"value": body.get("assignedLicenses")}, "assignedLicenses")
        return graph_json.user(body, group_ids=group_ids)
    except Incomplete as fault:
        return ReadFailed(str(fault), rejected=True)


def _body(reply: ItemReply | None) -> Json:
    return reply.body if reply is not None and isinstance(reply.body, dict) else {}
