"""The part of the control API that is about directory roles (PUT-like: what is given replaces what was)."""

from __future__ import annotations

import uuid
from typing import Any

from aiohttp import web

from local.tenant.directory.roles import BUILT_IN, GroupEligibility, RoleAssignment, RoleDefinition, Roles
from local.tenant.tenant import Tenant

KINDS = ("definitions", "active", "eligible", "groupEligible")


async def set_roles(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    """`definitions`: further roles, each {id, displayName, privileged}. `active`, `eligible`: each {principalId, role},
    where the role is an id or a name. `groupEligible`: each {groupId, principalId, accessId}."""
    unknown = set(body or {}) - set(KINDS)
    if unknown:
        raise ValueError(f"roles has unknown names: {', '.join(sorted(unknown))}; known are {', '.join(KINDS)}")
    extra = [
        RoleDefinition(str(each["id"]).lower(), each["displayName"], bool(each["privileged"]), built_in=False)
        for each in (body or {}).get("definitions", ())
    ]
    definitions = [*BUILT_IN, *extra]
    ids = {name: each.id for each in definitions for name in (each.id, each.display_name)}
    active, eligible = (
        [
            RoleAssignment(uuid.uuid4().hex, str(each["principalId"]).lower(), ids[each["role"]])
            for each in (body or {}).get(kind, ())
        ]
        for kind in ("active", "eligible")
    )
    members = [_group_eligibility(each) for each in (body or {}).get("groupEligible", ())]
    tenant.directory.roles = Roles(definitions, active, eligible, members)
    return {}


def _group_eligibility(given: dict[str, str]) -> GroupEligibility:
    if given["accessId"] not in ("member", "owner"):
        raise ValueError(f"accessId is member or owner, not {given['accessId']!r}")
    return GroupEligibility(uuid.uuid4().hex, given["groupId"].lower(), given["principalId"].lower(), given["accessId"])


ROLE_ACTIONS = {("POST", "roles"): set_roles}
