"""Directory objects as Graph shows them: property by property, only what was selected.

License parts are written straight into JSON and cached by value, since a page has 999 users and a batch 20.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from local.tenant import clock
from local.tenant.call import timestamp
from local.tenant.directory.catalog import Catalog, published
from local.tenant.directory.model import (
    ACTIVE,
    AssignedLicense,
    DirectoryObject,
    Group,
    LicenseRow,
    User,
    UserState,
    net_licenses,
)
from local.tenant.graph.directory_view import DirectoryView

USER_DEFAULT = (
    "businessPhones", "displayName", "givenName", "jobTitle", "mail", "mobilePhone", "officeLocation",
    "preferredLanguage", "surname", "userPrincipalName", "id",
)  # fmt: skip
"""Properties of a user without $select (learn.microsoft.com/graph/api/user-get)."""

USER_BASIC = frozenset({"id", "displayName", "givenName", "surname", "mail", "userPrincipalName"})
"""What User.ReadBasic.All lets an application see of a user here."""

ASSIGN_RESULT = (*USER_DEFAULT, "accountEnabled", "usageLocation", "assignedLicenses", "assignedPlans")
"""Properties in the answer of assignLicense and reprocessLicenseAssignment."""

GROUP_DEFAULT = (
    "id", "deletedDateTime", "classification", "createdDateTime", "description", "displayName", "expirationDateTime",
    "groupTypes", "isAssignableToRole", "mail", "mailEnabled", "mailNickname", "membershipRule",
    "membershipRuleProcessingState", "onPremisesLastSyncDateTime", "onPremisesSecurityIdentifier",
    "onPremisesSyncEnabled", "preferredDataLocation", "preferredLanguage", "proxyAddresses", "renewedDateTime",
    "resourceBehaviorOptions", "resourceProvisioningOptions", "securityEnabled", "securityIdentifier", "theme",
    "visibility", "onPremisesProvisioningErrors",
)  # fmt: skip
"""Properties of a group without $select; assignedLicenses and licenseProcessingState only come when selected."""

_SERVICES = (
    ("EXCHANGE", "exchange"), ("SHAREPOINT", "SharePoint"), ("MCO", "MicrosoftCommunicationsOnline"),
    ("TEAMS", "TeamspaceAPI"), ("INTUNE", "SCO"), ("YAMMER", "YammerEnterprise"), ("RMS", "RMSOnline"),
    ("AAD_PREMIUM", "AADPremiumService"), ("MFA", "MultiFactorService"), ("OFFICE", "MicrosoftOffice"),
)  # fmt: skip

_disabled_json: dict[tuple[str, ...], str] = {}


def states_fragment(rows: tuple[LicenseRow, ...], view: DirectoryView) -> orjson.Fragment:
    """`licenseAssignmentStates`."""
    return orjson.Fragment("[" + ",".join([_row_json(row, view) for row in rows]) + "]")


def licenses_fragment(licenses: list[AssignedLicense]) -> orjson.Fragment:
    """`assignedLicenses`."""
    parts = [f'{{"disabledPlans":{_plans_json(one.disabled)},"skuId":"{one.sku_id}"}}' for one in licenses]
    return orjson.Fragment("[" + ",".join(parts) + "]")


def plans_fragment(rows: tuple[LicenseRow, ...], catalog: Catalog, until: float | None = None) -> orjson.Fragment:
    """`assignedPlans`: every plan that is on, once. `until`: licenses that changed later do not show yet."""
    active = (row for row in rows if row.state in ACTIVE and (until is None or row.updated <= until))
    return orjson.Fragment(
        _plans(tuple((catalog.enabled_plans(row.sku_id, row.disabled), int(row.updated)) for row in active))
    )


def _row_json(row: LicenseRow, view: DirectoryView) -> str:
    group = "null" if row.group is None else f'"{view.id(row.group)}"'
    name = view.error(row.error)
    error = "null" if name is None else f'"{name}"'
    plans = view.id(_plans_json(row.disabled))
    return (
        f'{{"skuId":"{view.id(row.sku_id)}","disabledPlans":{plans},"assignedByGroup":{group},'
        f'"state":"{row.state}","error":{error},"lastUpdatedDateTime":"{timestamp(row.updated)}"}}'
    )


def _plans_json(disabled: tuple[str, ...]) -> str:
    if not disabled:
        return "[]"
    found = _disabled_json.get(disabled)
    if found is None:
        if len(_disabled_json) > 20_000:
            _disabled_json.clear()
        found = _disabled_json[disabled] = '["' + '","'.join(disabled) + '"]'
    return found


@lru_cache(maxsize=4096)
def _plans(licenses: tuple[tuple[frozenset[str], int], ...]) -> bytes:
    shown: dict[str, str] = {}
    for plan_ids, second in licenses:
        for plan_id in sorted(plan_ids):
            service = _plan_services().get(plan_id, "")
            shown.setdefault(
                plan_id,
                f'{{"assignedDateTime":"{timestamp(second)}","capabilityStatus":"Enabled",'
                f'"service":"{service}","servicePlanId":"{plan_id}"}}',
            )
    return ("[" + ",".join(shown.values()) + "]").encode()


@lru_cache(maxsize=1)
def _plan_services() -> dict[str, str]:
    return {
        plan_id: next((service for prefix, service in _SERVICES if name.startswith(prefix)), name)
        for name, plan_id in published().plan_ids.items()
    }


def _no_value(_user: User, _state: UserState) -> None:
    return None


def _empty(_user: User, _state: UserState) -> list[Any]:
    return []


def _given_name(user: User, _state: UserState) -> str | None:
    return user.display_name.split(" ", 1)[0] or None


def _surname(user: User, _state: UserState) -> str | None:
    parts = user.display_name.split(" ", 1)
    return parts[1] if len(parts) > 1 else None


def _addresses(user: User) -> list[str]:
    primary = [f"SMTP:{user.user_principal_name}"] if user.user_type == "Member" and not user.proxy_clash else []
    return [*primary, *(f"smtp:{alias}" for alias in user.aliases)]


def _deleted(_user: User, state: UserState) -> str | None:
    return None if state.deleted is None else timestamp(state.deleted)


UserGetter = Callable[[User, UserState], Any]

USER_PROPERTIES: dict[str, UserGetter] = {
    "id": lambda user, _state: user.id,
    "displayName": lambda user, _state: user.display_name,
    "userPrincipalName": lambda user, _state: user.user_principal_name,
    "mail": lambda user, _state: user.user_principal_name if user.user_type == "Member" else None,
    "mailNickname": lambda user, _state: user.user_principal_name.split("@", 1)[0],
    "givenName": _given_name,
    "surname": _surname,
    "usageLocation": lambda _user, state: state.usage_location,
    "accountEnabled": lambda _user, state: state.account_enabled,
    "userType": lambda user, _state: user.user_type,
    "createdDateTime": lambda user, _state: timestamp(user.created),
    "deletedDateTime": _deleted,
    "assignedLicenses": lambda _user, state: licenses_fragment(net_licenses(state.rows)),
    "assignedPlans": _no_value,  # these two depend on the look: user_json puts them in
    "licenseAssignmentStates": _no_value,
    "employeeId": lambda user, _state: user.employee_id,
    "department": lambda user, _state: user.department,
    "jobTitle": lambda user, _state: user.job_title,
    "businessPhones": _empty,
    "otherMails": _empty,
    "provisionedPlans": _empty,
    "proxyAddresses": lambda user, _state: _addresses(user),
    **dict.fromkeys(
        ("city", "companyName", "country", "employeeHireDate", "employeeLeaveDateTime",
         "employeeType", "externalUserState", "mobilePhone", "officeLocation", "onPremisesSyncEnabled",
         "preferredLanguage"),
        _no_value,
    ),
}  # fmt: skip
"""How each property of a user is read; a name that is not here is not a property of user."""


def user_json(user: User, state: UserState, selected: tuple[str, ...], view: DirectoryView) -> dict[str, Any]:
    """The selected properties of a user, in the order they were asked for."""
    shown = {name: USER_PROPERTIES[name](user, state) for name in selected}
    if "licenseAssignmentStates" in shown:
        shown["licenseAssignmentStates"] = states_fragment(state.rows, view)
    if "assignedPlans" in shown:
        shown["assignedPlans"] = plans_fragment(state.rows, view.catalog, view.plans_until)
    return shown


_GROUP_NULLS = frozenset({
    "deletedDateTime", "classification", "description", "expirationDateTime", "onPremisesLastSyncDateTime",
    "onPremisesSecurityIdentifier", "preferredDataLocation", "preferredLanguage",
    "renewedDateTime", "theme", "securityIdentifier", "accessType", "onPremisesDomainName",
    "onPremisesNetBiosName", "onPremisesSamAccountName", "uniqueName", "organizationId",
})  # fmt: skip

_GROUP_EMPTY = frozenset({
    "proxyAddresses", "resourceBehaviorOptions", "resourceProvisioningOptions", "onPremisesProvisioningErrors",
    "infoCatalogs", "assignedLabels", "serviceProvisioningErrors",
})  # fmt: skip

GROUP_PROPERTIES: dict[str, Callable[[Group], Any]] = {
    "id": lambda group: group.id,
    "displayName": lambda group: group.display_name,
    "createdDateTime": lambda group: timestamp(group.created),
    "groupTypes": lambda group: list(group.group_types),
    "isAssignableToRole": lambda group: group.role_assignable or None,
    "onPremisesSyncEnabled": lambda group: group.on_premises or None,
    "mail": lambda group: f"{_nickname(group)}@fabrikam.example" if "Unified" in group.group_types else None,
    "mailEnabled": lambda group: "Unified" in group.group_types,
    "mailNickname": lambda group: _nickname(group),
    "membershipRule": lambda group: group.rule,
    "membershipRuleProcessingState": lambda group: "On" if group.rule else None,
    "securityEnabled": lambda group: group.security_enabled,
    "visibility": lambda group: group.visibility,
    "assignedLicenses": lambda group: licenses_fragment(list(group.licenses_seen(clock.time()))),
    "licenseProcessingState": lambda group: {"state": group.processing_state} if group.processing_state else None,
    **dict.fromkeys(_GROUP_NULLS, lambda _group: None),
    **dict.fromkeys(_GROUP_EMPTY, lambda _group: []),
}
"""How each property of a group is read; hasMembersWithLicenseErrors is documented as never returned."""


def _nickname(group: Group) -> str:
    return "".join(dead_letter for dead_letter in group.display_name.lower() if dead_letter.isalnum()) or group.id


def group_json(group: Group, selected: tuple[str, ...], processing_state: str = "object") -> dict[str, Any]:
    """The selected properties of a group; `processing_state`: a position of that switch."""
    shown = {name: GROUP_PROPERTIES[name](group) for name in selected}
    if processing_state == "text" and "licenseProcessingState" in shown:
        shown["licenseProcessingState"] = group.processing_state
    return shown


def other_json(thing: DirectoryObject, selected: tuple[str, ...] | None) -> dict[str, Any]:
    """A device or service principal: its id and name are all there is."""
    whole: dict[str, Any] = {"id": thing.id, "displayName": thing.display_name}
    return whole if selected is None else {name: whole[name] for name in selected if name in whole}


KNOWN_MEMBER_PROPERTIES = frozenset(USER_PROPERTIES) | frozenset(GROUP_PROPERTIES)
"""Names that may be selected on a collection of directory objects."""
