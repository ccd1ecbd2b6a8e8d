"""What each caller must be answered on each route: by the tables of docs/roles.md, which no code reads, and the rules
that the same page states in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from local.stack import ROOT

Route = tuple[str, str]

PAGE = (ROOT / "docs" / "roles.md").read_text()
APPROVE = "Licensing.Approve"
EVERYTHING = "Licensing.ReadWrite"
"""The role of the first version: all the others."""

READS_BY_POST: frozenset[Route] = frozenset(
    {
        ("POST", "/api/users/search"),
        ("POST", "/api/groups/search"),
        ("POST", "/api/search"),
        ("POST", "/api/groups/{group_id}/members/search"),
        ("POST", "/api/groups/{group_id}/membersWithLicenseErrors/search"),
        ("POST", "/api/audit/search"),
        ("POST", "/api/deadLetters/search"),
        ("POST", "/api/operations/combinedPlan"),
        ("POST", "/api/onboarding/dryRun"),
        ("POST", "/licenses/{sku_id}"),
        ("POST", "/licenses/{sku_id}/users.csv"),
        ("POST", "/users"),
        ("POST", "/groups"),
        ("POST", "/groups/{group_id}"),
        ("POST", "/groups/{group_id}/members.csv"),
        ("POST", "/audit"),
        ("POST", "/audit.csv"),
        ("POST", "/audit.jsonl"),
        ("POST", "/search"),
        ("POST", "/deadLetters"),
        ("POST", "/groups/{group_id}/assign/check"),
    }
)
"""Routes that change nothing although their method is POST, since a searched name must not be part of an address."""

READ_AS_WRITES: frozenset[Route] = frozenset(
    {("GET", "/api/audit/{entry_id}/message"), ("GET", "/api/users/{user_id}/export")}
)
"""Routes that show the most about a person: of a session they ask what a write asks."""

PERSONS_ONLY: frozenset[Route] = frozenset(
    {
        ("PUT", "/api/onboarding/profiles/{profile_name}"),
        ("DELETE", "/api/onboarding/profiles/{profile_name}"),
        ("POST", "/api/writing/turnOn"),
        ("POST", "/api/writing/turnOff"),
        ("POST", "/firstDay/turnOn"),
        ("POST", "/firstDay/turnOff"),
    }
)
ERASE: Route = ("POST", "/api/users/{user_id}/erase")
"""Needs two roles."""

STATIC: Route = ("GET", "/static/{name}")
"""Needs a sign-in and no role."""

PASS = 0


@dataclass(frozen=True)
class Holder:
    """The roles and the sign-in of a caller, as far as the answers depend on them.

    `rejected`: the status at every route, PASS for a caller of this tenant. `writes`: whether a session is recent
    enough to write; `approves`: whether the sign-in is recent enough to approve.
    """

    roles: frozenset[str] = frozenset()
    rejected: int = PASS
    person: bool = True
    writes: bool = True
    approves: bool = True


def writes(route: Route) -> bool:
    """Whether the route asks what a write asks."""
    return route in READ_AS_WRITES or (route[0] != "GET" and route not in READS_BY_POST)


def documented_routes() -> Mapping[Route, frozenset[str]]:
    """Each route with the roles that suffice, from the table of the page."""
    (head,) = re.findall(r"^\| route \|(.*)\|$", PAGE, re.MULTILINE)
    names = [each.strip().strip("`") for each in head.split("|")]
    found: dict[Route, frozenset[str]] = {}
    for method, path, marks in re.findall(r"^\| `([A-Z]+) (/[^`]*)` \|(.*)\|$", PAGE, re.MULTILINE):
        cells = [each.strip() for each in marks.split("|")]
        roles = {name for name, mark in zip(names, cells, strict=True) if mark == "x"}
        found[method, path] = frozenset({*roles, EVERYTHING})
    return found


def documented_directory_roles() -> Mapping[str, frozenset[str]]:
    """Each directory role with the roles that it stands for, from the table of the page."""
    (section,) = re.findall(r"^## Directory roles$(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| ([A-Z][A-Za-z ]+) \| (`.*`) \|$", section, re.MULTILINE)
    return {name: frozenset(re.findall(r"`([^`]+)`", roles)) for name, roles in rows}


def expected(holder: Holder, route: Route, routes: Mapping[Route, frozenset[str]]) -> int:
    """The status that the caller must be answered, PASS if the caller must be let in."""
    if holder.rejected:
        return holder.rejected
    if route != STATIC and not holder.roles & routes[route]:
        return 403
    if not writes(route):
        return PASS
    approves = routes[route] == {APPROVE, EVERYTHING}
    if approves and not holder.person:
        return 403
    if approves and not holder.approves:
        return 401
    if not holder.writes:
        return 401
    if route in PERSONS_ONLY and not holder.person:
        return 403
    if route == ERASE:
        if not holder.person or not holder.roles & {APPROVE, EVERYTHING}:
            return 403
        return PASS if holder.approves else 401
    return PASS
