"""Groups: read, list and delete. Members have a module of their own."""

from __future__ import annotations

from typing import Any

from local.tenant import clock
from local.tenant.call import GRAPH, Call, Reply, bad_request, unsupported_query
from local.tenant.directory.model import Group
from local.tenant.graph.members import bind_members
from local.tenant.graph.present import present_group
from local.tenant.graph.query import (
    addresses_asked,
    check_options,
    count_reply,
    filter_test,
    need_advanced,
    ordered,
    page_of,
    selected,
    wants_count,
)
from local.tenant.graph.relations import expanded
from local.tenant.graph.render import GROUP_DEFAULT, GROUP_PROPERTIES, group_json
from local.tenant.graph.search import search_test
from local.tenant.tenant import Tenant

GROUP_SEARCHES = ("displayName", "description", "mail", "mailNickname")
GROUP_FILTERS = (
    "id", "displayName", "mailNickname", "securityEnabled", "mailEnabled", "visibility", "groupTypes", "description",
    "isAssignableToRole", "onPremisesSyncEnabled", "createdDateTime", "assignedLicenses",
)  # fmt: skip
_LICENSE_ERRORS = "hasMembersWithLicenseErrors eq true"
_LICENSED = "assignedLicenses/any()"
_LICENSE_COUNT = "assignedLicenses/$count ne 0"


def get_group(tenant: Tenant, call: Call) -> Reply:
    """GET /groups/{id}; assignedLicenses and licenseProcessingState only with $select."""
    check_options(call, "$expand")
    group = present_group(tenant, call.segments[1])
    chosen = _selected(call)
    columns = f"({','.join(chosen)})" if chosen else ""
    body = {"@odata.context": f"{GRAPH}/$metadata#groups{columns}/$entity"}
    body.update(group_json(group, chosen or GROUP_DEFAULT, tenant.settings.processing_state))
    body.update(expanded(tenant, call, group))
    return Reply(200, body)


def list_groups(tenant: Tenant, call: Call) -> Reply:
    """GET /groups in pages."""
    check_options(call, "$expand", "$orderby")
    chosen = _selected(call)
    groups = _matching(tenant, call)
    order = ordered(call, ("displayName", "mail", "createdDateTime"))
    if order is not None:
        name, reverse = order
        groups.sort(key=lambda group: (str(_reader(group)(name) or "").lower(), group.id), reverse=reverse)
    page, link = page_of(call, [group.id for group in groups], order)
    columns = f"({','.join(chosen)})" if chosen else ""
    body: dict[str, Any] = {"@odata.context": f"{GRAPH}/$metadata#groups{columns}"}
    if wants_count(call) and "$skiptoken" not in call.query:
        body["@odata.count"] = len(groups)
    if link is not None:
        body["@odata.nextLink"] = link
    shape, found = tenant.settings.processing_state, [tenant.directory.groups[one] for one in page]
    names = chosen or GROUP_DEFAULT
    body["value"] = [{**group_json(group, names, shape), **expanded(tenant, call, group)} for group in found]
    return Reply(200, body)


def count_groups(tenant: Tenant, call: Call) -> Reply:
    """GET /groups/$count, also with $filter and $search."""
    check_options(call)
    return count_reply(call, len(_matching(tenant, call)))


def _selected(call: Call) -> tuple[str, ...] | None:
    chosen = selected(call, {*GROUP_PROPERTIES, "hasMembersWithLicenseErrors"}, "group")
    if chosen is None:
        return None
    # Documented as never returned, so selecting it yields nothing.
    return tuple(name for name in chosen if name != "hasMembersWithLicenseErrors")


def _matching(tenant: Tenant, call: Call) -> list[Group]:
    groups = sorted((one for one in tenant.directory.groups.values() if one.deleted is None), key=lambda one: one.id)
    raw = call.query.get("$filter", "").strip()
    if raw == _LICENSE_ERRORS:
        if not tenant.settings.license_error_filter:
            raise unsupported_query("Unsupported or invalid query filter clause specified for the request.")
        return [group for group in groups if _has_errors(tenant, group)]
    if raw in (_LICENSED, _LICENSE_COUNT):
        return _licensed(tenant, call, raw, groups)
    if addresses_asked(call) is not None:
        return []  # no group here has an e-mail address
    searched = search_test(call, GROUP_SEARCHES, tenant.settings.directory_search)
    tests = [test for test in (filter_test(call, GROUP_FILTERS), searched) if test is not None]
    return [group for group in groups if all(test(_reader(group)) for test in tests)]


def _licensed(tenant: Tenant, call: Call, raw: str, groups: list[Group]) -> list[Group]:
    """Groups with licenses. Counting a collection is an advanced query."""
    switch = tenant.settings.licensed_filter if raw == _LICENSED else tenant.settings.license_count_filter
    if not switch:
        raise unsupported_query("Unsupported or invalid query filter clause specified for the request.")
    if raw == _LICENSE_COUNT:
        need_advanced(call, "A filter by $count")
    now = clock.time()
    return [group for group in groups if group.licenses_seen(now)]


def patch_group(tenant: Tenant, call: Call) -> Reply:
    """PATCH /groups/{id} with `members@odata.bind`, the one change of a group that is offered here; 204."""
    body = call.body if isinstance(call.body, dict) else {}
    unknown = [name for name in body if name != "members@odata.bind" and not name.startswith("@odata.")]
    if unknown or "members@odata.bind" not in body:
        # Own wording; properties of a group are outside the simulation.
        raise bad_request("Of a group members@odata.bind can be updated in the simulated tenant, nothing else.")
    bind_members(tenant, call, body["members@odata.bind"])
    return Reply(204)


def delete_group(tenant: Tenant, call: Call) -> Reply:
    """DELETE /groups/{id}: 204, or 400 while the group has licenses (licensing-group-advanced)."""
    group = present_group(tenant, call.segments[1])
    now = clock.time()
    if group.licenses:
        raise bad_request("The group cannot be deleted because it has licenses assigned to it.")  # own wording
    tenant.directory.delete_group(group, now)
    tenant.metrics.write(call.app_id, group.id, "deleteGroup", {}, {}, changed=True, now=now)
    return Reply(204)


def _reader(group: Group) -> Any:
    def read(name: str) -> object:
        if name not in GROUP_PROPERTIES:
            raise bad_request(f"Could not find a property named '{name}' on type 'microsoft.graph.group'.")
        if name == "assignedLicenses":
            return [{"skuId": one.sku_id} for one in group.licenses_seen(clock.time())]
        return GROUP_PROPERTIES[name](group)

    return read


def _has_errors(tenant: Tenant, group: Group) -> bool:
    users = tenant.directory.users
    return any(
        row.group == group.id and row.error != "None"
        for one in group.member_ids
        if one in users
        for row in users[one].rows
    )
