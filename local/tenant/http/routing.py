"""The operation of a method and path, its cost, and the permissions that it needs.

Costs: learn.microsoft.com/graph/throttling-limits, table of the identity and access service. Any GET that is not in
the table costs 1 resource unit, any other write 1 unit and 1 write.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from local.tenant.call import Call, GraphError, Reply, bad_request
from local.tenant.graph.delta import groups_delta
from local.tenant.graph.groups import count_groups, delete_group, get_group, list_groups, patch_group
from local.tenant.graph.licenses import assign_group_license, assign_license, license_details, reprocess_user
from local.tenant.graph.members import (
    CAST_NAMES,
    add_member,
    get_by_ids,
    list_license_errors,
    list_members,
    list_unit_members,
    remove_member,
)
from local.tenant.graph.organization import one_organization, one_sku, organization, subscribed_skus
from local.tenant.graph.relations import deleted_items, get_object, related, restore_item
from local.tenant.graph.roles import group_eligibility, role_assignments, role_definitions, role_eligibility
from local.tenant.graph.service_principals import get_principal, list_principals, role_assignments_of
from local.tenant.graph.subscriptions import (
    create_subscription,
    delete_subscription,
    get_subscription,
    list_subscriptions,
    patch_subscription,
    reauthorize_subscription,
)
from local.tenant.graph.user_delta import users_delta
from local.tenant.graph.users import (
    check_member_groups,
    count_users,
    get_member_groups,
    get_user,
    list_users,
    patch_user,
)
from local.tenant.identity import permissions as p
from local.tenant.quota import (
    SUBSCRIPTION_LIST,
    SUBSCRIPTION_READ,
    SUBSCRIPTION_REAUTHORIZE,
    SUBSCRIPTION_WRITES,
    Limit,
)
from local.tenant.tenant import Tenant

Handler = Callable[[Tenant, Call], Reply | Awaitable[Reply]]

SELECT_BY_IDS = 2  # units of getByIds with $select, fixed by the table


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: `{}` in the template stands for an id. One with a `limit` of its own costs no resource units."""

    method: str
    template: str
    handler: Handler
    needed: p.Alternatives
    units: int = 1
    writes: int = 0
    limit: Limit | None = None

    @property
    def locks_user(self) -> bool:
        """Whether it writes to one user, so that two at once may collide."""
        return self.writes > 0 and self.template.startswith("users/")


ROUTES = (
    Route("GET", "organization", organization, p.ORGANIZATION_READ),
    Route("GET", "organization/{}", one_organization, p.ORGANIZATION_READ),
    Route("GET", "subscribedSkus", subscribed_skus, p.SKUS_READ, units=3),
    Route("GET", "subscribedSkus/{}", one_sku, p.SKUS_READ),
    Route("GET", "users", list_users, p.USERS_READ, units=2),
    Route("GET", "users/$count", count_users, p.USERS_READ),
    Route("GET", "users/delta", users_delta, p.USERS_DELTA),
    Route("GET", "users/{}", get_user, p.USERS_READ),
    Route("PATCH", "users/{}", patch_user, p.REPROCESS, writes=1),
    Route("POST", "users/{}/assignLicense", assign_license, p.ASSIGN_USER, writes=1),
    Route("POST", "users/{}/reprocessLicenseAssignment", reprocess_user, p.REPROCESS, writes=1),
    Route("GET", "users/{}/licenseDetails", license_details, p.LICENSE_DETAILS, units=2),
    Route("GET", "users/{}/memberOf", related, p.MEMBER_OF, units=2),
    Route("GET", "users/{}/memberOf/{}", related, p.MEMBER_OF, units=2),
    Route("GET", "users/{}/memberOf/{}/$count", related, p.MEMBER_OF, units=2),
    Route("GET", "users/{}/transitiveMemberOf", related, p.MEMBER_OF, units=2),
    Route("GET", "users/{}/transitiveMemberOf/{}", related, p.MEMBER_OF, units=2),
    Route("GET", "users/{}/transitiveMemberOf/{}/$count", related, p.MEMBER_OF, units=2),
    Route("POST", "users/{}/getMemberGroups", get_member_groups, p.MEMBER_GROUPS, units=2),
    Route("POST", "users/{}/checkMemberGroups", check_member_groups, p.MEMBER_GROUPS, units=4),
    Route("GET", "groups", list_groups, p.GROUPS_READ),
    Route("GET", "groups/$count", count_groups, p.GROUPS_READ),
    Route("GET", "groups/delta", groups_delta, p.GROUPS_READ),
    Route("GET", "groups/{}", get_group, p.GROUPS_READ),
    Route("PATCH", "groups/{}", patch_group, p.MEMBERS_WRITE, writes=1),
    Route("DELETE", "groups/{}", delete_group, p.GROUPS_DELETE, writes=1),
    Route("GET", "groups/{}/members", list_members, p.MEMBERS_READ, units=3),
    Route("GET", "groups/{}/members/{}", list_members, p.MEMBERS_READ, units=3),
    Route("GET", "groups/{}/members/{}/$count", list_members, p.MEMBERS_READ, units=3),
    Route("GET", "groups/{}/transitiveMembers", list_members, p.MEMBERS_READ, units=5),
    Route("GET", "groups/{}/transitiveMembers/{}", list_members, p.MEMBERS_READ, units=5),
    Route("GET", "groups/{}/transitiveMembers/{}/$count", list_members, p.MEMBERS_READ, units=5),
    Route("GET", "groups/{}/owners", related, p.OWNERS_READ),
    Route("GET", "groups/{}/owners/{}", related, p.OWNERS_READ),
    Route("GET", "groups/{}/memberOf", related, p.MEMBER_OF),
    Route("GET", "groups/{}/memberOf/{}", related, p.MEMBER_OF),
    Route("GET", "groups/{}/transitiveMemberOf", related, p.MEMBER_OF),
    Route("GET", "groups/{}/transitiveMemberOf/{}", related, p.MEMBER_OF),
    Route("GET", "groups/{}/membersWithLicenseErrors", list_license_errors, p.MEMBERS_READ),
    Route("POST", "groups/{}/members/$ref", add_member, p.MEMBERS_WRITE, writes=1),
    Route("DELETE", "groups/{}/members/{}/$ref", remove_member, p.MEMBERS_WRITE, writes=1),
    Route("POST", "groups/{}/assignLicense", assign_group_license, p.ASSIGN_GROUP, writes=1),
    Route("GET", "directoryObjects/{}", get_object, p.OBJECT_READ),
    Route("GET", "directory/deletedItems/{}", deleted_items, p.DELETED_READ),
    Route("GET", "directory/deletedItems/{}/$count", deleted_items, p.DELETED_READ),
    Route("POST", "directory/deletedItems/{}/restore", restore_item, p.DELETED_RESTORE, writes=1),
    Route("GET", "servicePrincipals", list_principals, p.APPLICATIONS_READ),
    Route("GET", "servicePrincipals/{}", get_principal, p.APPLICATIONS_READ),
    Route("GET", "servicePrincipals/{}/appRoleAssignments", role_assignments_of, p.APPLICATIONS_READ),
    Route("POST", "directoryObjects/getByIds", get_by_ids, p.DIRECTORY_OBJECTS, units=5),
    Route("GET", "roleManagement/directory/roleDefinitions", role_definitions, p.ROLES_READ),
    Route("GET", "roleManagement/directory/roleAssignments", role_assignments, p.ROLES_READ),
    Route("GET", "roleManagement/directory/roleEligibilityScheduleInstances", role_eligibility, p.ELIGIBILITY_READ),
    Route(
        "GET",
        "identityGovernance/privilegedAccess/group/eligibilityScheduleInstances",
        group_eligibility,
        p.GROUP_ELIGIBILITY_READ,
    ),
    Route("GET", "directory/administrativeUnits/{}/members", list_unit_members, p.UNITS_READ),
    Route("GET", "directory/administrativeUnits/{}/members/{}", list_unit_members, p.UNITS_READ),
    Route("GET", "subscriptions", list_subscriptions, p.SUBSCRIBE, limit=SUBSCRIPTION_LIST),
    Route("GET", "subscriptions/{}", get_subscription, p.SUBSCRIBE, limit=SUBSCRIPTION_READ),
    Route("POST", "subscriptions", create_subscription, p.SUBSCRIBE, writes=1, limit=SUBSCRIPTION_WRITES),
    Route("PATCH", "subscriptions/{}", patch_subscription, p.SUBSCRIBE, writes=1, limit=SUBSCRIPTION_WRITES),
    Route("DELETE", "subscriptions/{}", delete_subscription, p.SUBSCRIBE, writes=1, limit=SUBSCRIPTION_WRITES),
    Route(
        "POST",
        "subscriptions/{}/reauthorize",
        reauthorize_subscription,
        p.SUBSCRIBE,
        writes=1,
        limit=SUBSCRIPTION_REAUTHORIZE,
    ),
)

_BY_START: dict[tuple[int, str], list[tuple[tuple[str, ...], Route]]] = {}
"""Routes by their number of segments and the first one; those with more literal segments come first."""
for _route in ROUTES:
    _parts = tuple(_route.template.split("/"))
    _BY_START.setdefault((len(_parts), _parts[0]), []).append((_parts, _route))
for _found in _BY_START.values():
    _found.sort(key=lambda each: each[0].count("{}"))

_NAMES = {part.lower(): part for route in ROUTES for part in route.template.split("/") if part != "{}"}
_TYPES = {f"microsoft.graph.{name}".lower(): f"microsoft.graph.{name}" for name in CAST_NAMES}
_KEYED = re.compile(r"^(\w+)\('([^']+)'\)$")
_BY_APP_ID = re.compile(r"^(\w+)\(appId='([^']+)'\)$", re.IGNORECASE)


def find_route(call: Call, *, other_spellings: bool = True) -> Route:
    """The operation of a call, whose `segments` are set on the way; 400 for no such path, 405 for the method.

    `other_spellings`: names are compared without case, as OData services of Microsoft's do. No page of Microsoft prints
    these two texts; they are as commonly seen.
    """
    segments = tuple(part for each in call.path.split("/") if each for part in _canonical(each, other_spellings))
    call.segments = segments
    known = _BY_START.get((len(segments), segments[0] if segments else ""), ())
    found = [route for parts, route in known if all(p in ("{}", s) for p, s in zip(parts, segments, strict=True))]
    if not found:
        last = segments[-1] if segments else ""
        raise bad_request(f"Resource not found for the segment '{last}'.", "BadRequest")
    for route in found:
        if route.method == call.method:
            return route
    raise GraphError(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")


def _canonical(segment: str, other_spellings: bool) -> tuple[str, ...]:
    """A segment as the routes have it. A key can be in parentheses (`users('id')`). msgraph-sdk sends `delta()`, and
    `graph.` instead of the full name on the pages (`graph` is the alias of that namespace in Graph's metadata)."""
    if keyed := _KEYED.match(segment):
        return (_named(keyed[1], other_spellings), keyed[2])
    if by_app := _BY_APP_ID.match(segment):
        return (_named(by_app[1], other_spellings), f"appId={by_app[2]}")
    return (_named(segment.removesuffix("()"), other_spellings),)


def _named(segment: str, other_spellings: bool) -> str:
    """A name of a path or a type; a qualified name of an action or function means it."""
    lowered = segment.lower()
    plain = lowered if other_spellings else segment
    full = f"microsoft.{plain}" if plain.startswith("graph.") else plain
    if full.lower() in _TYPES:
        name = _TYPES[full.lower()]
        return name if other_spellings or full == name else segment
    bare = full.removeprefix("microsoft.graph.")
    name = _NAMES.get(bare.lower(), "")
    return name if name and (other_spellings or bare == name) else segment


def write_cost(route: Route, call: Call, bind_writes: str) -> int:
    """Writes of a call. Each member that a PATCH binds was seen to cost one (gromedev/Mgx)."""
    bound = (
        call.body.get("members@odata.bind") if route.handler is patch_group and isinstance(call.body, dict) else None
    )
    return 1 + len(bound) if isinstance(bound, list) and bind_writes == "each" else route.writes


def cost(route: Route, call: Call) -> int:
    """Resource units of a call: $select one less, $expand one more, $top below 20 one less, never below 1."""
    if route.handler is get_by_ids:
        return SELECT_BY_IDS if call.query.get("$select") else route.units
    units = route.units
    query = call.query
    if query:
        if query.get("$select"):
            units -= 1
        if query.get("$expand"):
            units += 1
        top = query.get("$top", "")
        if top.isascii() and top.isdigit() and int(top) < 20:
            units -= 1
    return max(units, 1)
