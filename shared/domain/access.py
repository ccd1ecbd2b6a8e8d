"""Accesses that routes ask for, the roles that allow them, and the roles that each directory role stands for.

Roles are the app roles of the registration (infra/scripts/register-app.sh) and two narrower ones that only a directory
role can stand for. Role template ids are the same in every tenant
(learn.microsoft.com/entra/identity/role-based-access-control/permissions-reference).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from shared.domain.ids import is_guid


class Access(StrEnum):
    """A right that a route asks of its caller; the value names the least role that allows it."""

    SIGNED_IN = "a sign-in"
    ANY = "any role"
    READ = "Licensing.Read"
    READ_USERS = "Users.Read"
    WRITE = "Licensing.Write"
    READ_DEAD_LETTERS = "Licensing.Write, for dead letters"
    WRITE_GROUPS = "Groups.Write"
    APPROVE = "Licensing.Approve"
    CONFIGURE = "Licensing.Configure"
    READ_HR = "Onboarding.Read"
    READ_HR_EVENT = "Onboarding.Read or Onboarding.Write"
    END_HR_EVENT = "Licensing.Write or Onboarding.Write"
    WRITE_HR = "Onboarding.Write"


READS = frozenset(
    {
        Access.SIGNED_IN,
        Access.ANY,
        Access.READ,
        Access.READ_USERS,
        Access.READ_HR,
        Access.READ_HR_EVENT,
        Access.READ_DEAD_LETTERS,
    }
)
"""Accesses that change nothing."""

UNCOUNTED = frozenset({Access.SIGNED_IN, Access.ANY})
"""Accesses to what holds no data, which count towards no limit."""

_READ = frozenset({Access.ANY, Access.READ, Access.READ_USERS})
_HR = frozenset({Access.READ_HR, Access.READ_HR_EVENT})

ROLES: Mapping[str, frozenset[Access]] = MappingProxyType(
    {
        "Licensing.Read": _READ,
        "Licensing.Write": _READ
        | _HR
        | {Access.WRITE, Access.READ_DEAD_LETTERS, Access.WRITE_GROUPS, Access.END_HR_EVENT},
        # Held leavers are HR events: an approver must see them.
        "Licensing.Approve": _READ | _HR | {Access.APPROVE},
        "Licensing.Configure": _READ | {Access.CONFIGURE},
        "Onboarding.Read": _HR | {Access.ANY},
        "Onboarding.Write": frozenset(
            {Access.ANY, Access.READ_HR_EVENT, Access.END_HR_EVENT, Access.WRITE_HR},
        ),
        # The role of version 1.0 keeps its rights for one version, so that an upgrade locks no caller out.
        "Licensing.ReadWrite": frozenset(Access),
        "Users.Read": frozenset({Access.ANY, Access.READ_USERS}),
        "Groups.Write": _READ | {Access.WRITE_GROUPS},
    }
)
"""Each role and what it allows."""

NARROW_ROLES = frozenset({"Users.Read", "Groups.Write"})
"""Roles that are no app roles: only the setting DIRECTORY_ROLES names them."""

APP_ROLES = tuple(role for role in ROLES if role not in NARROW_ROLES)

DIRECTORY_ROLE_IDS: Mapping[str, str] = MappingProxyType(
    {
        "Global Administrator": "62e90394-69f5-4237-9190-012177145e10",
        "License Administrator": "4d6ac14f-3453-41d0-bef9-a3e0c569773a",
        "User Administrator": "fe930be7-5e62-47db-91af-98c3a49a38b1",
        "Groups Administrator": "fdd7a751-b60b-444a-984c-02652fe8fa1c",
        "Helpdesk Administrator": "729827e3-9c14-49f7-bb1b-9608f156bbb8",
        "Global Reader": "f2ef992c-3afb-46b9-b7cf-a126ee74c451",
        "Reports Reader": "4a5d8f65-41da-4de4-8968-e035b65339cf",
        "Directory Readers": "88d8e3e3-8f55-4a1e-953a-9b9898b8876b",
    }
)
"""Role template ids by name. Any other directory role is named by its template id."""

DEFAULT_DIRECTORY_ROLES = (
    "Global Administrator=Licensing.Write,Licensing.Approve,Licensing.Configure;"
    "License Administrator=Licensing.Write,Licensing.Approve;"
    "User Administrator=Licensing.Write,Licensing.Approve;"
    "Groups Administrator=Groups.Write;"
    "Helpdesk Administrator=Users.Read;"
    "Global Reader=Licensing.Read"
)
"""The default of DIRECTORY_ROLES. Directory Readers and Reports Readers have no row: guests and service accounts often
hold them, and what this app knows about leavers is not in the directory."""

NO_DIRECTORY_ROLES = "none"


def directory_roles(text: str) -> Mapping[str, frozenset[str]]:
    """Role template id -> roles, from `name=role,role;name=role`. Raises ValueError that names the part at fault."""
    found: dict[str, frozenset[str]] = {}
    if text.strip().lower() == NO_DIRECTORY_ROLES:
        return found
    for part in filter(None, (each.strip() for each in text.split(";"))):
        name, equals, listed = (each.strip() for each in part.partition("="))
        roles = [each.strip() for each in listed.split(",") if each.strip()]
        if not equals or not roles:
            raise ValueError(f"{part!r} must be a directory role, =, and roles separated by commas")
        template_id = DIRECTORY_ROLE_IDS.get(name, name.lower())
        if not is_guid(template_id):
            raise ValueError(
                f"unknown directory role {name!r}{_close(name, DIRECTORY_ROLE_IDS)}; "
                f"known are {', '.join(DIRECTORY_ROLE_IDS)}; name any other by its template id"
            )
        if template_id in found:
            raise ValueError(f"the directory role {name!r} stands there twice")
        unknown = next((role for role in roles if role not in ROLES), None)
        if unknown is not None:
            raise ValueError(f"unknown role {unknown!r}{_close(unknown, ROLES)}; allowed are {', '.join(ROLES)}")
        found[template_id] = frozenset(roles)
    if not found:
        raise ValueError(f"it names no directory role; to allow none, set it to {NO_DIRECTORY_ROLES!r}")
    return found


def access_of(
    app_roles: Iterable[str], template_ids: Iterable[str], directory: Mapping[str, frozenset[str]]
) -> frozenset[Access]:
    """The accesses of a caller with these app roles and directory roles."""
    roles = {role for role in app_roles if role in APP_ROLES}
    for template_id in template_ids:
        roles |= directory.get(template_id.lower(), frozenset())
    return frozenset(access for role in roles for access in ROLES[role])


def who_allows(needed: Access, directory: Mapping[str, frozenset[str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The app roles that allow an access, and the names (or template ids) of the directory roles that do."""
    names = {template_id: name for name, template_id in DIRECTORY_ROLE_IDS.items()}
    held = [
        names.get(template_id, template_id)
        for template_id, roles in directory.items()
        if any(needed in ROLES[role] for role in roles)
    ]
    return tuple(role for role in APP_ROLES if needed in ROLES[role]), tuple(held)


def _close(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {close[0]!r}?)" if close else ""
