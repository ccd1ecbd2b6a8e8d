"""Microsoft's own group-based licensing in Graph: reading it, `reprocessLicenseAssignment`, `assignLicense` of groups.

Pages: learn.microsoft.com/graph/api/resources/group, .../group-list-members, .../user-reprocesslicenseassignment,
.../group-assignlicense.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence

from shared.adapters import graph_json
from shared.adapters.directory import GROUP, PAGE_SIZE, STATES, USER, GraphDirectory
from shared.adapters.graph import GraphClient, Json, Rejection
from shared.adapters.graph_batch import BATCH_LIMIT, PATH, Item, answers, envelope, segment
from shared.adapters.graph_pages import pages
from shared.adapters.graph_search import EVENTUAL
from shared.adapters.graph_write_results import BatchWriter
from shared.adapters.licenses import license_body, priority_header
from shared.domain.directory import AssignedLicense, DirectoryUser
from shared.domain.errors import NotOffered, PermissionDenied, Unavailable
from shared.domain.ids import GroupId, Plans, SkuId, UserId
from shared.domain.write_results import LicenseCall, WriteResult
from shared.ports.native_licensing import DirectMembers, LicensedGroup

SELECT = f"$select={graph_json.GROUP_SELECT},licenseProcessingState"
GROUPS = f"/groups?{SELECT}&$top={PAGE_SIZE}"

FILTERS = ("&$count=true&$filter=assignedLicenses/$count%20ne%200", "&$filter=assignedLicenses/any()", "")
"""How licensed groups are found: an advanced query (learn.microsoft.com/graph/aad-advanced-queries), else a plain
filter. If Graph offers neither, all groups are read."""

log = logging.getLogger(__name__)


class GraphNativeLicensing:
    """Implements NativeLicensing."""

    def __init__(self, graph: GraphClient, directory: GraphDirectory) -> None:
        self._graph = graph
        self._directory = directory
        self._writer = BatchWriter(graph)

    async def licensed_groups(self) -> tuple[LicensedGroup, ...]:
        for query in FILTERS:
            try:
                rows = await self._rows("licensed groups", await self._first(GROUPS + query))
                return tuple(each for each in map(_licensed, rows) if each.group.native_skus)
            except Rejection as rejection:
                if rejection.status != 400 or not query:
                    raise
                log.info("Graph does not offer this list of licensed groups: %s", rejection)
        raise Unavailable(None, "licensed groups cannot be read")

    async def licensed_group(self, group_id: GroupId) -> LicensedGroup:
        return _licensed(await self._get(f"/groups/{segment(group_id)}?{SELECT}"))

    async def _first(self, address: str) -> Json:
        """The first page, in a batch: only its items have the header of advanced queries. Raises Refusal."""
        if "count=true" not in address:
            return (await self._graph.read(address)).json()
        (reply,) = answers(await self._graph.read(PATH, envelope([Item("GET", address, headers=EVENTUAL)])), 1)
        if reply is None or not isinstance(reply.body, dict):
            raise Unavailable(None, "licensed groups: the answer is missing")
        if reply.status in (401, 403):
            raise PermissionDenied(str(reply))
        if reply.status == 400:
            raise Rejection(400, reply.error[0], str(reply))
        if not reply.ok:
            raise Unavailable(reply.retry_after_s, str(reply))
        return reply.body

    async def members(self, group_id: GroupId) -> AsyncIterator[DirectMembers]:
        address = f"/groups/{segment(group_id)}/members?$select={graph_json.USER_SELECT}&$top={PAGE_SIZE}"
        try:
            body = await self._get(address)
        except Rejection as rejection:
            if rejection.status != 400:
                raise
            raise NotOffered(f"licenses of members of group {group_id}: {rejection}") from rejection
        async for rows in pages(f"members of group {group_id}", body, self._follow):
            yield DirectMembers(
                [_member(row) for row in rows if row.get("@odata.type") == USER],
                [GroupId(str(row["id"]).lower()) for row in rows if row.get("@odata.type") == GROUP],
            )

    async def in_error(self, group_id: GroupId) -> tuple[DirectoryUser, ...]:
        """If the list does not show licenses, each user of it is read."""
        address = f"/groups/{segment(group_id)}/membersWithLicenseErrors?$select={{}}&$top={PAGE_SIZE}"
        what = f"members of group {group_id} with license errors"
        try:
            rows = await self._rows(what, await self._get(address.format(graph_json.USER_SELECT)))
            return tuple(map(_member, rows))
        except Rejection as rejection:
            if rejection.status != 400:
                raise
        except NotOffered:
            pass
        rows = await self._rows(what, await self._get(address.format(graph_json.USER_SELECT.removesuffix(STATES))))
        user_ids = [UserId(str(row.get("id")).lower()) for row in rows]
        return tuple(await self._directory.members_one_by_one(user_ids))

    async def reprocess(self, user_ids: Sequence[UserId], *, urgent: bool) -> Mapping[UserId, WriteResult]:
        headers = priority_header(urgent)
        items = [
            Item("POST", f"/users/{segment(user_id)}/reprocessLicenseAssignment", {}, headers) for user_id in user_ids
        ]
        results = await self._writer.write(items, priority=headers["x-ms-throttle-priority"])
        return {user_id: each.result for user_id, each in zip(user_ids, results, strict=True)}

    async def enabled_plans(self, user_ids: Sequence[UserId]) -> Mapping[UserId, Plans]:
        """learn.microsoft.com/graph/api/resources/assignedplan: `capabilityStatus` is Enabled, Warning, Suspended,
        Deleted or LockedOut."""
        found: dict[UserId, Plans] = {}
        for start in range(0, len(user_ids), BATCH_LIMIT):
            part = user_ids[start : start + BATCH_LIMIT]
            items = [Item("GET", f"/users/{segment(each)}?$select=id,assignedPlans") for each in part]
            replies = answers(await self._graph.read(PATH, envelope(items)), len(items))
            for user_id, reply in zip(part, replies, strict=True):
                if reply is None or not reply.ok or not isinstance(reply.body, dict):
                    log.warning("assignedPlans of a user cannot be read: %s", reply)
                    continue
                # One answer without the property must not keep the other users of the batch from being processed.
                try:
                    found[user_id] = graph_json.enabled_plans(reply.body)
                except graph_json.Incomplete as fault:
                    log.warning("assignedPlans of a user cannot be read: %s", fault)
        return found

    async def assign_group_licenses(
        self, group_id: GroupId, add: Sequence[AssignedLicense], remove: Sequence[SkuId], *, urgent: bool = False
    ) -> WriteResult:
        """learn.microsoft.com/graph/api/group-assignlicense: 202, and members are processed later."""
        headers = priority_header(urgent)
        body = license_body(LicenseCall(tuple(add), tuple(remove)))
        item = Item("POST", f"/groups/{segment(group_id)}/assignLicense", body, headers)
        (answered,) = await self._writer.write([item], priority=headers["x-ms-throttle-priority"])
        return answered.result

    async def _get(self, path: str) -> Json:
        return (await self._graph.read(path)).json()

    async def _rows(self, what: str, body: Json) -> list[Json]:
        return [row async for rows in pages(what, body, self._follow) for row in rows]

    async def _follow(self, link: str) -> Json:
        return await self._first(self._graph.path_of(link))


def _licensed(row: Json) -> LicensedGroup:
    return LicensedGroup(graph_json.group(row), graph_json.processing_state(row))


def _member(row: Json) -> DirectoryUser:
    """Raises NotOffered without the licenses, PermissionDenied without other properties."""
    try:
        return graph_json.user(row)
    except graph_json.Incomplete as fault:
        if fault.name == "licenseAssignmentStates":
            raise NotOffered(str(fault)) from fault
        if fault.shape != "user":
            raise
        raise PermissionDenied(f"members come without {fault.name}; is User.Read.All granted?") from fault
