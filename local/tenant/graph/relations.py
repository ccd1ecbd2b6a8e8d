"""What lies beside a user or group: the groups it is in, owners, deleted objects; and $expand of these.

Pages of learn.microsoft.com/graph/api: user-list-memberof, group-list-owners, directory-deleteditems-list and
directoryobject-get. $expand of directory objects shows at most 20 of a relation (learn.microsoft.com/graph/query-
parameters).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from local.tenant import clock
from local.tenant.call import GRAPH, Call, Reply, bad_request, denied, not_found
from local.tenant.directory.model import DirectoryObject, Group, User
from local.tenant.graph.members import CASTS, RowWriter, members_reply
from local.tenant.graph.present import present_group, present_user
from local.tenant.graph.query import check_options, selected
from local.tenant.graph.render import KNOWN_MEMBER_PROPERTIES
from local.tenant.identity.permissions import READ_DIRECTORY, READ_GROUPS, SEE_USERS
from local.tenant.tenant import Tenant

EXPAND_LIMIT = 20
_EXPAND = re.compile(r"^(\w+)(?:\((.*)\))?$", re.DOTALL)
_RESTORE = {
    User: frozenset({"User.DeleteRestore.All", "User.ReadWrite.All", "Directory.ReadWrite.All"}),
    Group: frozenset({"Group.ReadWrite.All", "Directory.ReadWrite.All"}),
}
"""directory-deleteditems-restore, application permissions."""

Related = Callable[[Tenant, Any, float | None], list[str]]


def _parents(tenant: Tenant, thing: DirectoryObject, as_of: float | None) -> list[str]:
    return sorted(tenant.directory.parent_groups(thing, as_of))


def _ancestors(tenant: Tenant, thing: DirectoryObject, as_of: float | None) -> list[str]:
    return sorted(tenant.directory.transitive_groups(thing, as_of))


def _owners(tenant: Tenant, group: Group, as_of: float | None) -> list[str]:
    return sorted(group.owner_ids)


def _none(tenant: Tenant, thing: DirectoryObject, as_of: float | None) -> list[str]:
    """People have no manager and no reports here."""
    return []


_OF_EITHER: dict[str, Related] = {"memberOf": _parents, "transitiveMemberOf": _ancestors}
_OF_USERS: dict[str, Related] = {**_OF_EITHER, "directReports": _none}
_OF_GROUPS: dict[str, Related] = {
    **_OF_EITHER,
    "owners": _owners,
    "members": lambda tenant, group, as_of: tenant.directory.direct_members(group, as_of),
    "transitiveMembers": lambda tenant, group, as_of: tenant.directory.transitive_members(group, as_of),
}


def related(tenant: Tenant, call: Call) -> Reply:
    """GET /users|groups/{id}/memberOf | transitiveMemberOf, /groups/{id}/owners [/microsoft.graph.{type}] [/$count]"""
    check_options(call)
    kind, key, name = call.segments[:3]
    thing: DirectoryObject
    thing = present_user(tenant, key, call.as_of) if kind == "users" else present_group(tenant, key)
    found = (_OF_USERS if kind == "users" else _OF_GROUPS)[name](tenant, thing, call.as_of)
    return members_reply(tenant, call, found, call.segments[3:], transitive=name.startswith("transitive"))


def expanded(tenant: Tenant, call: Call, thing: User | Group) -> dict[str, Any]:
    """The relation that $expand names, as a part of the object; nothing without $expand. 400 for another relation.

    `manager` is a single object. No user here has one, so it is left out, as Graph does.
    """
    raw = call.query.get("$expand")
    if raw is None:
        return {}
    found = _EXPAND.match(raw.strip())
    known = _OF_USERS if isinstance(thing, User) else _OF_GROUPS
    if found is None or found[1] not in {*known, *(("manager",) if isinstance(thing, User) else ())}:
        # Own wording.
        raise bad_request(f"Could not find a property named '{raw}' on type '{thing.odata_type[1:]}'.", "BadRequest")
    if found[1] not in known:
        return {}
    options = dict(part.split("=", 1) for part in (found[2] or "").split(";") if "=" in part)
    if set(options) - {"$select"}:
        raise bad_request("Within $expand, only $select is supported on directory objects.", "BadRequest")
    chosen = selected(replace(call, query=options), KNOWN_MEMBER_PROPERTIES, "directoryObject")
    row, objects = RowWriter(tenant, call, chosen, None), tenant.directory.objects
    ids = [one for one in known[found[1]](tenant, thing, call.as_of) if objects[one].deleted is None]
    return {found[1]: [row.write(objects[one]) for one in ids[:EXPAND_LIMIT]]}


def get_object(tenant: Tenant, call: Call) -> Reply:
    """GET /directoryObjects/{id}"""
    check_options(call)
    thing = tenant.directory.objects.get(call.segments[1].lower())
    if thing is None or thing.deleted is not None:
        raise not_found(call.segments[1])
    return _shown(tenant, call, thing)


def deleted_items(tenant: Tenant, call: Call) -> Reply:
    """GET /directory/deletedItems/{id}, or /directory/deletedItems/microsoft.graph.user | group [/$count]"""
    check_options(call)
    cast = CASTS.get(call.segments[2])
    if cast is None:
        thing = _deleted(tenant, call.segments[2])
        _may_see(call, type(thing))
        return _shown(tenant, call, thing)
    _may_see(call, cast)
    ids = [one.id for one in tenant.directory.objects.values() if isinstance(one, cast) and is_deleted(one)]
    return members_reply(tenant, call, sorted(ids), call.segments[2:], transitive=False, deleted=True)


def restore_item(tenant: Tenant, call: Call) -> Reply:
    """POST /directory/deletedItems/{id}/restore: a user or group comes back, with licenses and memberships."""
    thing = _deleted(tenant, call.segments[2])
    if not call.permissions & _RESTORE.get(type(thing), frozenset()):
        raise denied()
    if isinstance(thing, User):
        tenant.directory.restore_user(thing, clock.time())
    elif isinstance(thing, Group):
        tenant.directory.restore_group(thing, clock.time())
    tenant.directory_changed()
    return _shown(tenant, call, thing)


def is_deleted(thing: DirectoryObject) -> bool:
    """Whether it lies in the recycle bin; what was deleted for good does not."""
    return thing.deleted is not None and not (isinstance(thing, Group) and thing.purged)


def _deleted(tenant: Tenant, key: str) -> DirectoryObject:
    thing = tenant.directory.objects.get(key.lower())
    if thing is None or not is_deleted(thing):
        raise not_found(key)
    return thing


def _may_see(call: Call, kind: type[DirectoryObject]) -> None:
    needed = {User: SEE_USERS, Group: READ_GROUPS}.get(kind, frozenset(READ_DIRECTORY))
    if not call.permissions & needed:
        raise denied()


def _shown(tenant: Tenant, call: Call, thing: DirectoryObject) -> Reply:
    chosen = selected(call, KNOWN_MEMBER_PROPERTIES, "directoryObject")
    body = {"@odata.context": f"{GRAPH}/$metadata#directoryObjects/$entity"}
    return Reply(200, {**body, **RowWriter(tenant, call, chosen, None).write(thing)})
