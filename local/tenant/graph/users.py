"""Users: read, list, usage location, and the groups they lie in."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import partial
from typing import Any

from local.tenant import clock
from local.tenant.call import GRAPH, Call, GraphError, Reply, bad_request, denied, unsupported_query
from local.tenant.directory.directory import contains
from local.tenant.directory.model import User, UserState, assigned_skus, net_licenses
from local.tenant.graph.directory_view import view_of
from local.tenant.graph.filtering import Test
from local.tenant.graph.present import present_user
from local.tenant.graph.query import (
    PAGE_DEFAULT,
    addresses_asked,
    check_options,
    count_reply,
    filter_test,
    has_address,
    next_link,
    ordered,
    page_size,
    selected,
    skip_token,
    wants_count,
)
from local.tenant.graph.relations import expanded
from local.tenant.graph.render import (
    USER_BASIC,
    USER_DEFAULT,
    USER_PROPERTIES,
    user_json,
)
from local.tenant.graph.search import search_test
from local.tenant.identity.permissions import SEE_USERS
from local.tenant.tenant import Tenant

USER_FILTERS = (
    "id",
    "userPrincipalName",
    "displayName",
    "mail",
    "accountEnabled",
    "userType",
    "usageLocation",
    "employeeId",
    "givenName",
    "surname",
    "department",
    "jobTitle",
    "mailNickname",
    "createdDateTime",
    "assignedLicenses",
    "proxyAddresses",
)
USER_ORDERS = ("displayName", "userPrincipalName", "mail", "createdDateTime")
_BY_LICENSE = re.compile(r"^assignedLicenses/any\((\w+):\s*\1/skuId\s+eq\s+([0-9a-fA-F-]{36})\)$")
_BY_EMPLOYEE_ID = re.compile(r"^employeeId\s+eq\s+'((?:[^']|'')*)'$")
NOT_ISO = ("UK", "EL")  # two letters that stand for GB and GR elsewhere
CHECK_LIMIT = 20  # groupIds of one checkMemberGroups
SECURITY_RESULT_LIMIT = (
    2_046  # groups with securityEnabledOnly, learn.microsoft.com/graph/api/directoryobject-getmembergroups
)
RESULT_LIMIT = 11_000  # groups in all, same page


def may_see(call: Call, names: Iterable[str]) -> bool:
    """Whether the caller may see these properties of users."""
    return bool(call.permissions & SEE_USERS) or USER_BASIC.issuperset(names)


def get_user(tenant: Tenant, call: Call) -> Reply:
    """GET /users/{id | userPrincipalName}"""
    check_options(call, "$expand")
    user = present_user(tenant, call.segments[1], call.as_of)
    chosen = selected(call, USER_PROPERTIES, "user")
    names = chosen or USER_DEFAULT
    if chosen and not may_see(call, chosen):
        raise denied()
    state = tenant.directory.user_state(user, call.as_of)
    body = {"@odata.context": f"{GRAPH}/$metadata#users{_columns(chosen)}/$entity"}
    body.update(user_json(user, state, names, view_of(tenant)))
    body.update(expanded(tenant, call, user))
    return Reply(200, body)


def list_users(tenant: Tenant, call: Call) -> Reply:
    """GET /users, in pages."""
    check_options(call, "$expand", "$orderby")
    chosen = selected(call, USER_PROPERTIES, "user")
    names = chosen or USER_DEFAULT
    if chosen and not may_see(call, chosen):
        raise denied()
    addresses = addresses_asked(call)
    by_license = _BY_LICENSE.match(call.query.get("$filter", "").strip())
    if by_license and not tenant.settings.assigned_license_filter:
        raise unsupported_query("Unsupported or invalid query filter clause specified for the request.")
    filtered = filter_test(call, USER_FILTERS) if addresses is None and by_license is None else None
    searched = search_test(call, USER_FILTERS, tenant.settings.directory_search)
    matches = [test for test in (filtered, searched) if test is not None]
    if addresses is not None:
        matches.append(lambda read: has_address(read, addresses))
    order = ordered(call, USER_ORDERS)
    size = page_size(call) if "$top" in call.query else PAGE_DEFAULT
    directory = tenant.directory
    by_employee_id = _BY_EMPLOYEE_ID.match(call.query.get("$filter", "").strip())
    if addresses is not None:
        ids = directory.ids_by_address(addresses)
    elif by_employee_id:
        ids = directory.ids_by_employee_id(by_employee_id[1].replace("''", "'"))
    else:
        ids = directory.sorted_user_ids()
    if order is not None:
        name, reverse = order
        ids = sorted(ids, key=lambda one: _sort_key(directory.users[one], name), reverse=reverse)
    shown: list[dict[str, Any]] = []
    last, more, view, token = "", False, view_of(tenant), skip_token(call)
    start = bisect_right(ids, token) if order is None else ids.index(token) + 1 if token in ids else 0
    for user_id in ids[start:]:
        user = directory.users[user_id]
        state = directory.user_state(user, call.as_of)
        if state.deleted is not None:
            continue
        shows = partial(_shown, user, state)
        if not all(match(shows) for match in matches):
            continue
        if by_license and by_license[2].lower() not in assigned_skus(state.rows):
            continue
        if len(shown) == size:
            more = True
            break
        shown.append({**user_json(user, state, names, view), **expanded(tenant, call, user)})
        last = user_id
    body: dict[str, Any] = {"@odata.context": f"{GRAPH}/$metadata#users{_columns(chosen)}"}
    if wants_count(call) and "$skiptoken" not in call.query and searched is None:  # a search of everybody takes long
        body["@odata.count"] = number_of_users(tenant, call, matches, by_license[2].lower() if by_license else None)
    if more:
        body["@odata.nextLink"] = next_link(call, last)
    body["value"] = shown
    return Reply(200, body)


def number_of_users(tenant: Tenant, call: Call, matches: list[Test], sku_id: str | None = None) -> int:
    """How many users match all tests, and have a product."""
    directory, found = tenant.directory, 0
    for user in directory.users.values():
        state = directory.user_state(user, call.as_of)
        if state.deleted is None and (sku_id is None or sku_id in assigned_skus(state.rows)):
            found += all(match(partial(_shown, user, state)) for match in matches)
    return found


def count_users(tenant: Tenant, call: Call) -> Reply:
    """GET /users/$count, also with $filter and $search."""
    check_options(call)
    tests = (filter_test(call, USER_FILTERS), search_test(call, USER_FILTERS, tenant.settings.directory_search))
    return count_reply(call, number_of_users(tenant, call, [test for test in tests if test is not None]))


def _shown(user: User, state: UserState, name: str) -> Any:
    """A property as filters read it."""
    if name == "assignedLicenses":
        return [{"skuId": one.sku_id} for one in net_licenses(state.rows)]
    return USER_PROPERTIES[name](user, state)


def _sort_key(user: User, name: str) -> tuple[str, str]:
    return str(_shown(user, user.state(), name) or "").lower(), user.id


def patch_user(tenant: Tenant, call: Call) -> Reply:
    """PATCH /users/{id}: usageLocation only, the one property of a user anything here changes; 204."""
    user = present_user(tenant, call.segments[1], None)
    body = call.body
    if not isinstance(body, dict) or not body:
        raise bad_request("A value is required for the request body.")  # own wording
    for name in body:
        if name != "usageLocation" and not name.startswith("@odata."):
            # Own wording; other properties of a user are outside the simulation.
            raise bad_request(f"Property '{name}' cannot be updated in the simulated tenant.")
    if "usageLocation" not in body:
        raise bad_request("A value is required for the request body.")
    place = body["usageLocation"]
    if place is not None and not (isinstance(place, str) and len(place) == 2 and place.isascii() and place.isalpha()):
        raise bad_request("Invalid value specified for property 'usageLocation' of resource 'User'.")  # own wording
    if place is not None and tenant.settings.iso_locations_only and place.upper() in NOT_ISO:
        raise bad_request("Invalid value specified for property 'usageLocation' of resource 'User'.")  # own wording
    now = clock.time()
    before, after = user.usage_location, place.upper() if place else None
    tenant.directory.set_usage_location(user, after, now)
    tenant.metrics.write(
        call.app_id,
        user.id,
        "usageLocation",
        {"usageLocation": before},
        {"usageLocation": after},
        changed=before != after,
        now=now,
    )
    return Reply(204)


def get_member_groups(tenant: Tenant, call: Call) -> Reply:
    """POST /users/{id}/getMemberGroups: ids of all groups at any depth; `securityEnabledOnly` is required."""
    user = present_user(tenant, call.segments[1], call.as_of)
    security_only = _field(call, "securityEnabledOnly")
    if not isinstance(security_only, bool):
        raise bad_request("Invalid value specified for 'securityEnabledOnly'.")  # own wording
    groups = tenant.directory.groups
    ids = tenant.directory.transitive_groups(user, call.as_of)
    found = [one for one in ids if groups[one].security_enabled] if security_only else list(ids)
    limit = SECURITY_RESULT_LIMIT if security_only else RESULT_LIMIT
    if len(found) > limit:
        # Own wording; the code is the documented one.
        raise GraphError(400, "Directory_ResultSizeLimitExceeded", f"The result has more than {limit} groups.")
    return Reply(200, {"@odata.context": f"{GRAPH}/$metadata#Collection(Edm.String)", "value": found})


def check_member_groups(tenant: Tenant, call: Call) -> Reply:
    """POST /users/{id}/checkMemberGroups: those of at most 20 group ids the user lies in, at any depth."""
    user = present_user(tenant, call.segments[1], call.as_of)
    asked = _field(call, "groupIds")
    if not isinstance(asked, list) or not all(isinstance(one, str) for one in asked):
        raise bad_request("Invalid value specified for 'groupIds'.")  # own wording
    if len(asked) > CHECK_LIMIT:
        raise bad_request(f"Number of included identifiers cannot exceed '{CHECK_LIMIT}'.")
    lies_in = sorted(tenant.directory.transitive_groups(user, call.as_of))
    found = [one for one in asked if contains(lies_in, one.lower())]
    return Reply(200, {"@odata.context": f"{GRAPH}/$metadata#Collection(Edm.String)", "value": found})


def _field(call: Call, name: str) -> Any:
    if not isinstance(call.body, dict) or name not in call.body:
        raise bad_request(f"The request is missing the parameter '{name}'.")  # own wording
    return call.body[name]


def _columns(chosen: tuple[str, ...] | None) -> str:
    return f"({','.join(chosen)})" if chosen else ""
