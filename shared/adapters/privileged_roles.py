"""Reading from Graph who holds privileged directory roles, active and eligible.

Three reads: the roles (learn.microsoft.com/graph/api/rbacapplication-list-roledefinitions), their active assignments
(rbacapplication-list-roleassignments; a role activated in Privileged Identity Management is one of them), and the
eligible ones (rbacapplication-list-roleeligibilityscheduleinstances). A fourth read has the eligible members of one
group (privilegedaccessgroup-list-eligibilityscheduleinstances). A read is complete or it fails.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence

from shared.adapters import graph_json
from shared.adapters.graph import GraphClient, Json, Rejection
from shared.adapters.graph_json import Incomplete
from shared.domain.errors import NotFound, Unavailable
from shared.domain.ids import GroupId
from shared.domain.protected_people import PRIVILEGED_ROLES

ROLES = "/roleManagement/directory/roleDefinitions"
ASSIGNMENTS = "/roleManagement/directory/roleAssignments"
ELIGIBLE = "/roleManagement/directory/roleEligibilityScheduleInstances"
ELIGIBLE_MEMBERS = "/identityGovernance/privilegedAccess/group/eligibilityScheduleInstances"

NO_PIM = "AadPremiumLicenseRequired"
"""The code with which a tenant without Microsoft Entra ID P2 or ID Governance rejects both reads of eligible holders.
The pages name no code; Microsoft365DSC handles it in MSFT_AADRoleEligibilityScheduleRequest and
MSFT_AADGroupEligibilitySchedule. There are none then. Any other rejection is a failed read."""

OWNER = "owner"
"""`accessId` of someone who can become an owner of a group, and does not hold its roles by that."""

log = logging.getLogger(__name__)


class GraphPrivilegedRoles:
    """Implements PrivilegedRoles."""

    def __init__(self, graph: GraphClient) -> None:
        self._graph = graph

    async def holders(self) -> Mapping[str, tuple[str, ...]]:
        """Raises PermissionDenied, NotFound, Unavailable."""
        roles = await self._privileged()
        held: dict[str, set[str]] = {}
        async for row in self._rows(ASSIGNMENTS):
            _add(held, row, roles)
        if not held:
            # Every tenant has a Global Administrator, so this is what a partial answer looks like.
            raise Unavailable(None, f"{ASSIGNMENTS}: no holder of a privileged role, not even of Global Administrator")
        async for row in self._eligible(ELIGIBLE):
            _add(held, row, roles)
        return {principal: tuple(sorted(names)) for principal, names in held.items()}

    async def eligible_members(self, group_id: GroupId) -> frozenset[str]:
        """Raises PermissionDenied, Unavailable."""
        rows = self._eligible(f"{ELIGIBLE_MEMBERS}?$filter=groupId eq '{group_id}'".replace(" ", "%20"))
        return frozenset([_id(row, "principalId") async for row in rows if row.get("accessId") != OWNER])

    async def _eligible(self, path: str) -> AsyncIterator[Json]:
        """The rows of a read that a tenant without the license for eligible assignments rejects."""
        try:
            async for row in self._rows(path):
                yield row
        except Rejection as rejection:
            if rejection.code != NO_PIM:
                raise
            log.info("the tenant has no eligible role holders: %s", rejection)

    async def _privileged(self) -> dict[str, str]:
        """Privileged roles by id, with their names. `isPrivileged` is documented for beta only
        (learn.microsoft.com/graph/api/resources/unifiedroledefinition), so it is not selected and may be absent."""
        found: dict[str, str] = {}
        async for row in self._rows(ROLES):
            role_id, template = _id(row, "id"), str(row.get("templateId") or "").lower()
            if row.get("isPrivileged") is True or template in PRIVILEGED_ROLES or role_id in PRIVILEGED_ROLES:
                found[role_id] = str(row.get("displayName") or PRIVILEGED_ROLES.get(role_id, role_id))
        # A built-in role has its template id as id; one that the answer lacks may be assigned all the same.
        return {**PRIVILEGED_ROLES, **found}

    async def _rows(self, path: str) -> AsyncIterator[Json]:
        """The rows of all pages. Raises Unavailable if a page is lost, or the pages do not come to an end."""
        address, followed = path, set[str]()
        while True:
            try:
                body = (await self._graph.read(address)).json()
            except NotFound as fault:
                raise Unavailable(None, f"{path}: {fault}", rejected=True) from fault
            rows: Sequence[Json] = graph_json.values(body, path)
            for row in rows:
                yield row
            link = body.get("@odata.nextLink")
            if link is None:
                return
            if not isinstance(link, str) or link in followed:
                raise Unavailable(None, f"{path}: the pages do not come to an end")
            followed.add(link)
            address = self._graph.path_of(link)


def _add(held: dict[str, set[str]], row: Json, roles: Mapping[str, str]) -> None:
    role = roles.get(_id(row, "roleDefinitionId"))
    if role is not None:
        held.setdefault(_id(row, "principalId"), set()).add(role)


def _id(row: Json, name: str) -> str:
    value = row.get(name) if isinstance(row, dict) else None
    if not isinstance(value, str) or not value:
        raise Incomplete("role", name)
    return value.lower()
