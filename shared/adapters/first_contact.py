"""The requests of the first-contact check. Each is sent once and as it is, because its rejection is an observation too.

Every request has a name, which is also that of its observation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from shared.adapters.graph import GraphClient, NoAnswer, NotSent
from shared.adapters.graph_batch import PATH, Item, envelope, literal, segment
from shared.adapters.graph_search import EVENTUAL
from shared.domain.first_contact import Answer, Subject

NO_PRODUCT = "00000000-aaaa-4000-8000-000000000000"
"""A GUID that is no product or plan."""

NO_GROUP = "not-a-group-id"
STATES = "id,licenseAssignmentStates"
LICENSED = "$select=id,assignedLicenses,licenseProcessingState"


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is relative to the base URL of Graph."""

    method: str
    path: str
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


def _get(path: str, headers: Mapping[str, str] | None = None) -> Request:
    return Request("GET", path, None, headers or {})


def _licenses(user_id: str, add: list[Any], remove: list[str]) -> Request:
    """Both arrays are required (learn.microsoft.com/graph/api/user-assignlicense)."""
    body = {"addLicenses": add, "removeLicenses": remove}
    return Request("POST", f"/users/{segment(user_id)}/assignLicense", body)


def _sku(sku_id: str, *disabled: str) -> dict[str, Any]:
    return {"skuId": sku_id, "disabledPlans": list(disabled)}


def _filter(path: str, clause: str, *more: str) -> str:
    return "&".join([f"{path}?$filter={quote(clause, safe='')}", *more])


def _organization(subject: Subject) -> Request:
    return _get("/organization")


def _products(subject: Subject) -> Request:
    return _get("/subscribedSkus")


def _users(subject: Subject) -> Request:
    return _get(f"/users?$select={STATES}&$top=200")


def _member_of(subject: Subject) -> Request:
    return _get(f"/users/{segment(subject.user_id)}/memberOf?$select=id,securityEnabled")


def _by_ids(subject: Subject) -> Request:
    """learn.microsoft.com/graph/api/directoryobject-getbyids"""
    return Request("POST", "/directoryObjects/getByIds", {"ids": [subject.user_id], "types": ["user"]})


def _delta(subject: Subject, *options: str) -> str:
    clause = quote(f"id eq '{subject.group_id}'", safe="")
    return "&".join(["/groups/delta?$select=id,members", *options, f"$filter={clause}"])


def _latest_filter(subject: Subject) -> Request:
    return _get(_delta(subject, "$deltatoken=latest"))


def _enumerated(subject: Subject) -> Request:
    return _get(_delta(subject))


def _old_link(subject: Subject) -> Request:
    return _get(subject.links["oldLink"])


def _counted(subject: Subject) -> Request:
    """An advanced query (learn.microsoft.com/graph/aad-advanced-queries)."""
    clause = "assignedLicenses/$count ne 0"
    return _get(_filter("/groups", clause, "$count=true", LICENSED, "$top=100"), EVENTUAL)


def _any(subject: Subject) -> Request:
    return _get(_filter("/groups", "assignedLicenses/any()", LICENSED, "$top=100"))


def _licensed_groups(subject: Subject) -> Request:
    """The first groups, for a tenant that offers neither filter."""
    return _get(f"/groups?{LICENSED}&$top=999")


def _error_filter(subject: Subject) -> Request:
    return _get(_filter("/groups", "hasMembersWithLicenseErrors eq true", "$select=id", "$top=5"))


def _members(subject: Subject) -> Request:
    return _get(f"/groups/{segment(subject.group_id)}/members?$select={STATES}&$top=100")


def _in_error(subject: Subject) -> Request:
    return _get(f"/groups/{segment(subject.licensed_group_id)}/membersWithLicenseErrors?$select={STATES}")


def _bad_id(subject: Subject) -> Request:
    return _get(f"/groups/{NO_GROUP}?$select=id")


def _later_dependency(subject: Subject) -> Request:
    """learn.microsoft.com/graph/json-batching: an item can depend on earlier items."""
    items: list[dict[str, Any]] = [
        {"id": "1", "method": "GET", "url": "/subscribedSkus?$select=id", "dependsOn": ["2"]},
        {"id": "2", "method": "GET", "url": "/subscribedSkus?$select=id"},
    ]
    return Request("POST", PATH, {"requests": items})


def _other_case(subject: Subject) -> Request:
    return _get("/SubscribedSkus?$select=id")


def _by_product(subject: Subject) -> Request:
    clause = f"assignedLicenses/any(s:s/skuId eq {subject.sku_id})"
    return _get(_filter("/users", clause, "$select=id", "$top=1"))


def _search(subject: Subject) -> Request:
    words = quote('"displayName:licenses"', safe="")
    return _get(f"/groups?$search={words}&$select=id&$top=1&$count=true", EVENTUAL)


def _roles(subject: Subject) -> Request:
    return _get("/roleManagement/directory/roleDefinitions")


def _eligibility(subject: Subject) -> Request:
    return _get("/roleManagement/directory/roleEligibilityScheduleInstances")


def _test_user(subject: Subject) -> Request:
    return _get(f"/users/{segment(subject.test_user_id)}?$select={STATES},usageLocation,accountEnabled")


def _test_roles(subject: Subject) -> Request:
    user = literal(subject.test_user_id)
    return _get(f"/roleManagement/directory/roleAssignments?$filter=principalId%20eq%20{user}")


def _test_groups(subject: Subject) -> Request:
    return _get(f"/users/{segment(subject.test_user_id)}/memberOf?$select=id")


def _test_group(subject: Subject) -> Request:
    selected = "id,assignedLicenses,securityEnabled,isAssignableToRole"
    return _get(f"/groups/{segment(subject.test_group_id)}?$select={selected}")


def _test_group_members(subject: Subject) -> Request:
    return _get(f"/groups/{segment(subject.test_group_id)}/members?$select=id&$top=1")


def _test_group_parents(subject: Subject) -> Request:
    return _get(f"/groups/{segment(subject.test_group_id)}/memberOf?$select=id")


def _begin_latest(subject: Subject) -> Request:
    clause = quote(f"id eq '{subject.test_group_id}'", safe="")
    filtered = f"&$filter={clause}" if subject.links.get("filter") else ""
    return _get(f"/groups/delta?$deltatoken=latest&$select=id,members{filtered}")


def _begin_enumerated(subject: Subject) -> Request:
    clause = quote(f"id eq '{subject.test_group_id}'", safe="")
    return _get(f"/groups/delta?$select=id,members&$filter={clause}")


def _changes(name: str) -> Callable[[Subject], Request]:
    return lambda subject: _get(subject.links[name])


def _partial(subject: Subject) -> Request:
    return _licenses(subject.test_user_id, [_sku(subject.test_sku_id), _sku(NO_PRODUCT)], [])


def _unknown_plan(subject: Subject) -> Request:
    return _licenses(subject.test_user_id, [_sku(subject.test_sku_id, NO_PRODUCT)], [])


def _assign(subject: Subject) -> Request:
    return _licenses(subject.test_user_id, [_sku(subject.test_sku_id)], [])


def _remove_unknown(subject: Subject) -> Request:
    return _licenses(subject.test_user_id, [], [NO_PRODUCT])


def _remove(subject: Subject) -> Request:
    return _licenses(subject.test_user_id, [], [subject.test_sku_id])


def _join(subject: Subject) -> Request:
    """learn.microsoft.com/graph/api/group-post-members; the reference names Graph's public address."""
    reference = f"https://graph.microsoft.com/v1.0/directoryObjects/{subject.test_user_id}"
    return Request("POST", f"/groups/{segment(subject.test_group_id)}/members/$ref", {"@odata.id": reference})


def _leave(subject: Subject) -> Request:
    group, user = segment(subject.test_group_id), segment(subject.test_user_id)
    return Request("DELETE", f"/groups/{group}/members/{user}/$ref")


def _location_uk(subject: Subject) -> Request:
    """UK is no code of ISO 3166-1, and some clients send it."""
    return Request("PATCH", f"/users/{segment(subject.test_user_id)}", {"usageLocation": "UK"})


def _restore_location(subject: Subject) -> Request:
    return Request(
        "PATCH", f"/users/{segment(subject.test_user_id)}", {"usageLocation": subject.prior_location or None}
    )


def _group_unknown(subject: Subject) -> Request:
    body = {"addLicenses": [_sku(NO_PRODUCT)], "removeLicenses": []}
    return Request("POST", f"/groups/{segment(subject.test_group_id)}/assignLicense", body)


def _restore_group(subject: Subject) -> Request:
    body = {"addLicenses": [], "removeLicenses": [NO_PRODUCT]}
    return Request("POST", f"/groups/{segment(subject.test_group_id)}/assignLicense", body)


def _each(subject: Subject, request: Callable[[Subject], Request]) -> Request:
    """One request for each test user, in one batch (learn.microsoft.com/graph/json-batching)."""
    asked = [request(replace(subject, test_user_id=user_id)) for user_id in subject.test_user_ids]
    return Request("POST", PATH, envelope([Item(each.method, each.path, each.body) for each in asked]))


REQUESTS: Mapping[str, Callable[[Subject], Request]] = {
    "organization": _organization,
    "subscribedSkus": _products,
    "users": _users,
    "memberOf": _member_of,
    "getByIds": _by_ids,
    "latestFilter": _latest_filter,
    "deltaEnumerated": _enumerated,
    "oldLink": _old_link,
    "countFilter": _counted,
    "anyFilter": _any,
    "licensedGroups": _licensed_groups,
    "licenseErrorsFilter": _error_filter,
    "memberStates": _members,
    "membersInError": _in_error,
    "badId": _bad_id,
    "laterDependency": _later_dependency,
    "otherCase": _other_case,
    "usersByProduct": _by_product,
    "search": _search,
    "roles": _roles,
    "roleEligibility": _eligibility,
    "testUser": _test_user,
    "afterPartial": _test_user,
    "testRoles": _test_roles,
    "testGroups": _test_groups,
    "testGroup": _test_group,
    "testGroupMembers": _test_group_members,
    "testGroupParents": _test_group_parents,
    "latest": _begin_latest,
    "enumerated": _begin_enumerated,
    "changesLatest": _changes("latest"),
    "changesEnumerated": _changes("enumerated"),
    "partial": _partial,
    "unknownPlan": _unknown_plan,
    "assign": _assign,
    "assignAgain": _assign,
    "removeUnknown": _remove_unknown,
    "remove": _remove,
    "join": _join,
    "leave": _leave,
    "locationUk": _location_uk,
    "restoreLocation": _restore_location,
    "groupUnknownSku": _group_unknown,
    "restoreGroup": _restore_group,
    "loadUsers": lambda subject: _each(subject, _test_user),
    "loadGroups": lambda subject: _each(subject, _test_groups),
    "loadRoles": lambda subject: _each(subject, _test_roles),
    "loadAssign": lambda subject: _each(subject, _assign),
    "loadRemove": lambda subject: _each(subject, _remove),
}
"""Requests by name, but for `absoluteAddress`, which needs the base URL."""


class GraphProbes:
    """Implements Probes."""

    def __init__(self, graph: GraphClient) -> None:
        self._graph = graph

    async def ask(self, name: str, subject: Subject) -> Answer:
        request = self._absolute() if name == "absoluteAddress" else REQUESTS[name](subject)
        began = asyncio.get_running_loop().time()
        try:
            reply = await self._graph.send(request.path, request.body, method=request.method, headers=request.headers)
        except (NotSent, NoAnswer):
            return Answer(0, seconds=asyncio.get_running_loop().time() - began)
        seconds = asyncio.get_running_loop().time() - began
        try:
            body: object = reply.json() if reply.body else None
        except NoAnswer:
            body = None
        if name == "absoluteAddress":
            return _item(body, Answer(reply.status, reply.headers, body, seconds))
        return Answer(reply.status, reply.headers, body, seconds)

    def path_of(self, link: str) -> str:
        return self._graph.path_of(link)

    def _absolute(self) -> Request:
        item = {"id": "1", "method": "GET", "url": f"{self._graph.base_url}/subscribedSkus?$select=id"}
        return Request("POST", PATH, {"requests": [item]})


def _item(body: object, whole: Answer) -> Answer:
    """The answer to the only item of a batch; that of the batch if it was rejected as a whole."""
    responses = body.get("responses") if isinstance(body, dict) else None
    if not whole.ok or not isinstance(responses, list) or len(responses) != 1 or not isinstance(responses[0], dict):
        return whole
    status = responses[0].get("status")
    return Answer(status if isinstance(status, int) else 0, {}, responses[0].get("body"), whole.seconds)
