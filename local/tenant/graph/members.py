"""Members of groups: direct and transitive, in pages, counted, cast to a type, and changed."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Any

from local.tenant import clock
from local.tenant.call import GRAPH, Call, Reply, bad_request, denied, not_found
from local.tenant.directory.directory import shown_in_members
from local.tenant.directory.model import Device, DirectoryObject, Group, ServicePrincipal, User
from local.tenant.graph.directory_view import view_of
from local.tenant.graph.present import present_group
from local.tenant.graph.query import (
    check_options,
    count_reply,
    filter_test,
    need_advanced,
    next_link,
    page_size,
    selected,
    skip_token,
    wants_count,
)
from local.tenant.graph.render import (
    GROUP_DEFAULT,
    GROUP_PROPERTIES,
    KNOWN_MEMBER_PROPERTIES,
    USER_DEFAULT,
    USER_PROPERTIES,
    group_json,
    other_json,
    user_json,
)
from local.tenant.graph.search import search_test
from local.tenant.identity.permissions import HIDDEN_MEMBERS, READ_DIRECTORY, READ_GROUPS, ROLE_GROUPS_WRITE, SEE_USERS
from local.tenant.tenant import Tenant

CASTS: dict[str, type[DirectoryObject]] = {
    "microsoft.graph.user": User,
    "microsoft.graph.group": Group,
    "microsoft.graph.device": Device,
    "microsoft.graph.servicePrincipal": ServicePrincipal,
}

CAST_NAMES = tuple(name.removeprefix("microsoft.graph.") for name in CASTS)
BIND_LIMIT = 20  # members in one PATCH, learn.microsoft.com/graph/api/group-post-members

_REFERENCE = re.compile(r"/(?:directoryObjects|users|devices|groups|servicePrincipals)/([0-9a-fA-F-]{36})$")
_FILTERS = ("displayName", "userPrincipalName", "mail", "id", "accountEnabled", "userType")


def list_members(tenant: Tenant, call: Call) -> Reply:
    """GET /groups/{id}/members | transitiveMembers [/microsoft.graph.{type}] [/$count]"""
    check_options(call)
    group = present_group(tenant, call.segments[1])
    transitive = call.segments[2] == "transitiveMembers"
    if not _visible(tenant, call, group):
        return Reply(200, {"@odata.context": f"{GRAPH}/$metadata#directoryObjects", "value": []})
    directory = tenant.directory
    ids = directory.transitive_members(group, call.as_of) if transitive else directory.direct_members(group, call.as_of)
    return members_reply(tenant, call, ids, call.segments[3:], transitive=transitive)


def members_reply(
    tenant: Tenant, call: Call, ids: list[str], rest: tuple[str, ...], *, transitive: bool, deleted: bool = False
) -> Reply:
    """Some objects, as a page or counted. `rest`: what follows in the path, a type to cast to and `$count`. `deleted`:
    they lie in the recycle bin."""
    count_only = rest[-1:] == ("$count",)
    cast = _cast(call, rest[0], transitive and not count_only) if rest and rest[0] != "$count" else None
    if not count_only:
        return Reply(200, _page(tenant, call, ids, cast, transitive, deleted))
    return count_reply(call, _count(tenant, call, ids, cast, transitive, deleted))


def list_unit_members(tenant: Tenant, call: Call) -> Reply:
    """GET /directory/administrativeUnits/{id}/members [/microsoft.graph.{type}]
    (learn.microsoft.com/graph/api/administrativeunit-list-members)"""
    check_options(call)
    key = call.segments[2].lower()
    ids = tenant.directory.administrative_units.get(key)
    if ids is None:
        raise not_found(key)
    cast = _cast(call, call.segments[4], tenant.settings.unit_cast_is_advanced) if call.segments[4:] else None
    return Reply(200, _page(tenant, call, sorted(ids), cast, False))


def _page(
    tenant: Tenant,
    call: Call,
    ids: list[str],
    cast: type[DirectoryObject] | None,
    transitive: bool,
    deleted: bool = False,
) -> dict[str, Any]:
    chosen = selected(call, _known(cast), _type_name(cast))
    tests = [
        test
        for test in (filter_test(call, _FILTERS), search_test(call, _FILTERS, tenant.settings.directory_search))
        if test is not None
    ]
    if tests:
        need_advanced(call, "$filter or $search on members")
    size = page_size(call)
    row = RowWriter(tenant, call, chosen, cast)
    shown: list[dict[str, Any]] = []
    last, more = "", False
    objects = tenant.directory.objects
    for place in range(bisect_right(ids, skip_token(call)), len(ids)):
        thing = objects[ids[place]]
        if not _listed(tenant, call, thing, cast, transitive, deleted):
            continue
        if tests and not all(test(row.reader(thing)) for test in tests):
            continue
        if len(shown) == size:
            more = True
            break
        shown.append(row.write(thing))
        last = thing.id
    context = f"{_type_name(cast)}s" if cast else "directoryObjects"
    columns = f"({','.join(chosen)})" if chosen else ""
    body: dict[str, Any] = {"@odata.context": f"{GRAPH}/$metadata#{context}{columns}"}
    if wants_count(call) and "$skiptoken" not in call.query:
        body["@odata.count"] = _count(tenant, call, ids, cast, transitive, deleted)
    if more:
        body["@odata.nextLink"] = next_link(call, last)
    body["value"] = shown
    return body


class RowWriter:
    """Writes one member; without the right to read its type, only type and id, other properties null."""

    def __init__(
        self, tenant: Tenant, call: Call, chosen: tuple[str, ...] | None, cast: type[DirectoryObject] | None
    ) -> None:
        self._tenant = tenant
        self._as_of = call.as_of
        self._chosen = chosen
        self._typed = cast is None
        self._sees_users = bool(call.permissions & SEE_USERS)
        self._sees_groups = bool(call.permissions & READ_GROUPS)
        self._view = view_of(tenant)
        states = tenant.settings.member_states
        if states == "rejected" and "licenseAssignmentStates" in (chosen or ()):
            # Own wording.
            raise bad_request("The property 'licenseAssignmentStates' cannot be selected on members of a group.")
        hidden = {"licenseAssignmentStates"} if states == "absent" else set()
        self._null = states == "null"
        self._user_names = tuple(
            name for name in (chosen or USER_DEFAULT) if name in USER_PROPERTIES and name not in hidden
        )
        self._group_names = tuple(name for name in (chosen or GROUP_DEFAULT) if name in GROUP_PROPERTIES)

    def write(self, thing: DirectoryObject) -> dict[str, Any]:
        row: dict[str, Any] = {"@odata.type": thing.odata_type} if self._typed else {}
        if isinstance(thing, User):
            if not self._sees_users:
                return {"@odata.type": thing.odata_type, **dict.fromkeys(self._user_names), "id": thing.id}
            state = self._tenant.directory.user_state(thing, self._as_of)
            row.update(user_json(thing, state, self._user_names, self._view))
            if self._null and "licenseAssignmentStates" in row:
                row["licenseAssignmentStates"] = None
        elif isinstance(thing, Group):
            if not self._sees_groups:
                return {"@odata.type": thing.odata_type, **dict.fromkeys(self._group_names), "id": thing.id}
            row.update(group_json(thing, self._group_names))
        else:
            row.update(other_json(thing, self._chosen))
        return row

    def reader(self, thing: DirectoryObject) -> Any:
        def read(name: str) -> object:
            if isinstance(thing, User) and name in USER_PROPERTIES:
                return USER_PROPERTIES[name](thing, self._tenant.directory.user_state(thing, self._as_of))
            return other_json(thing, None).get(name)

        return read


def list_license_errors(tenant: Tenant, call: Call) -> Reply:
    """GET /groups/{id}/membersWithLicenseErrors: users whose native license from this group has an error."""
    check_options(call)
    group = present_group(tenant, call.segments[1])
    directory = tenant.directory
    wrong = [
        one
        for one in directory.direct_members(group, call.as_of)
        if (user := directory.users.get(one)) is not None
        and any(row.group == group.id and row.error != "None" for row in directory.user_state(user, call.as_of).rows)
    ]
    return Reply(200, _page(tenant, call, wrong, None, False))


def get_by_ids(tenant: Tenant, call: Call) -> Reply:
    """POST /directoryObjects/getByIds: at most 1,000 ids; unknown ones are left out of the answer."""
    body = call.body if isinstance(call.body, dict) else {}
    ids, types = body.get("ids"), body.get("types")
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise bad_request("The request is missing the parameter 'ids'.")  # own wording
    if tenant.settings.by_ids_permission == "directory" and not call.permissions.intersection(READ_DIRECTORY):
        raise denied()
    if len(ids) > 1000:
        raise bad_request("Number of included identifiers cannot exceed '1000'.")
    chosen = selected(call, KNOWN_MEMBER_PROPERTIES, "directoryObject")
    wanted = {str(one).lower() for one in types} if types else None
    row = RowWriter(tenant, call, chosen, None)
    shown = []
    for one in dict.fromkeys(str(one).lower() for one in ids):
        thing = tenant.directory.objects.get(one)
        if thing is None or not _alive(tenant, thing, call.as_of):
            continue
        kind = thing.odata_type.rsplit(".", 1)[1].lower()
        if wanted is None or kind in wanted or "directoryobject" in wanted:
            shown.append(row.write(thing))
    return Reply(200, {"@odata.context": f"{GRAPH}/$metadata#directoryObjects", "value": shown})


def add_member(tenant: Tenant, call: Call) -> Reply:
    """POST /groups/{id}/members/$ref with {"@odata.id": address of the object}; 204."""
    group = _writable_group(tenant, call)
    _add(tenant, call, group, [call.body.get("@odata.id") if isinstance(call.body, dict) else None])
    return Reply(204)


def bind_members(tenant: Tenant, call: Call, addresses: Any) -> None:
    """`members@odata.bind` of PATCH /groups/{id}: up to 20 members, all of them or none."""
    if not isinstance(addresses, list) or not 1 <= len(addresses) <= BIND_LIMIT:
        # Own wording.
        raise bad_request(f"'members@odata.bind' must be a collection of 1 to {BIND_LIMIT} addresses.")
    _add(tenant, call, _writable_group(tenant, call), addresses)


def _add(tenant: Tenant, call: Call, group: Group, addresses: list[Any]) -> None:
    things = [_referenced(tenant, address) for address in addresses]
    if any(thing.id in group.member_ids for thing in things):
        # As commonly reported; no page of Microsoft prints it.
        raise bad_request(
            "One or more added object references already exist for the following modified properties: 'members'."
        )
    now = clock.time()
    for thing in things:
        tenant.directory.add_member(group, thing, now)
        _member_written(tenant, call, group, thing, True, now)


def _referenced(tenant: Tenant, address: Any) -> DirectoryObject:
    found = _REFERENCE.search(address) if isinstance(address, str) else None
    if found is None:
        raise bad_request("Invalid object identifier: '@odata.id' must be the address of a directory object.")
    thing = tenant.directory.objects.get(found[1].lower())
    if thing is None or thing.deleted is not None:
        raise not_found(found[1])
    return thing


def remove_member(tenant: Tenant, call: Call) -> Reply:
    """DELETE /groups/{id}/members/{memberId}/$ref; 204, or 404 for a user or group that is not a member."""
    group = _writable_group(tenant, call)
    thing = tenant.directory.objects.get(call.segments[3].lower())
    now = clock.time()
    if thing is None or not tenant.directory.remove_member(group, thing, now):
        raise not_found(call.segments[3])
    _member_written(tenant, call, group, thing, False, now)
    return Reply(204)


def _member_written(tenant: Tenant, call: Call, group: Group, thing: DirectoryObject, added: bool, now: float) -> None:
    tenant.native.member_changed(group, thing.id)
    before = {"groupId": group.id, "member": not added}
    after = {"groupId": group.id, "member": added}
    tenant.metrics.write(call.app_id, thing.id, "membership", before, after, changed=True, now=now)


def _writable_group(tenant: Tenant, call: Call) -> Group:
    group = present_group(tenant, call.segments[1])
    if group.role_assignable and ROLE_GROUPS_WRITE not in call.permissions:
        raise denied()
    if "DynamicMembership" in group.group_types:
        # Own wording.
        raise bad_request("Insufficient privileges: membership of a dynamic group is computed from its rule.")
    if group.on_premises:
        # As commonly reported; no page of Microsoft prints it.
        raise bad_request(
            "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects "
            "currently undergoing migration."
        )
    return group


def _visible(tenant: Tenant, call: Call, group: Group) -> bool:
    if group.visibility != "HiddenMembership" or HIDDEN_MEMBERS in call.permissions:
        return True
    if tenant.settings.hidden_membership == "rejected":
        raise denied()
    return False


def _cast(call: Call, segment: str, transitive: bool) -> type[DirectoryObject]:
    cast = CASTS.get(segment)
    if cast is None:
        raise bad_request(f"Resource not found for the segment '{segment}'.", "BadRequest")
    if transitive:
        need_advanced(call, f"The cast to {segment}")
    return cast


def _listed(
    tenant: Tenant,
    call: Call,
    thing: DirectoryObject,
    cast: type[DirectoryObject] | None,
    transitive: bool,
    deleted: bool,
) -> bool:
    if cast is not None and not isinstance(thing, cast):
        return False
    return deleted or ((transitive or shown_in_members(thing)) and _alive(tenant, thing, call.as_of))


def _alive(tenant: Tenant, thing: DirectoryObject, as_of: float | None) -> bool:
    if as_of is not None and isinstance(thing, User):
        return tenant.directory.user_state(thing, as_of).deleted is None
    return thing.deleted is None


def _count(
    tenant: Tenant,
    call: Call,
    ids: list[str],
    cast: type[DirectoryObject] | None,
    transitive: bool,
    deleted: bool = False,
) -> int:
    objects = tenant.directory.objects
    return sum(1 for one in ids if _listed(tenant, call, objects[one], cast, transitive, deleted))


def _known(cast: type[DirectoryObject] | None) -> frozenset[str]:
    if cast is User:
        return frozenset(USER_PROPERTIES)
    if cast is Group:
        return frozenset(GROUP_PROPERTIES)
    return KNOWN_MEMBER_PROPERTIES


def _type_name(cast: type[DirectoryObject] | None) -> str:
    return "directoryObject" if cast is None else cast.odata_type.rsplit(".", 1)[1]
