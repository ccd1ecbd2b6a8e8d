"""Graph's JSON into values of the domain: one function per shape, for every place the shape is read.

A property that is missing or null where Graph always has a value means that the read is not complete, for example
without the permission to see it. That raises; it never becomes "none".
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from shared.domain.directory import (
    AssignedLicense,
    DirectoryGroup,
    DirectoryUser,
    FoundUser,
    LicenseAssignmentState,
    LicenseState,
    ServicePlan,
    SubscribedSku,
)
from shared.domain.errors import Unavailable
from shared.domain.ids import GroupId, Plans, ServicePlanId, SkuId, UserId
from shared.ports.directory import Organization

T = TypeVar("T")
Row = Mapping[str, Any]

USER_SELECT = "id,displayName,userPrincipalName,accountEnabled,userType,usageLocation,licenseAssignmentStates"
GROUP_SELECT = (
    "id,displayName,securityEnabled,groupTypes,visibility,assignedLicenses,"
    "onPremisesSyncEnabled,isAssignableToRole,mailEnabled"
)
FOUND_USER_SELECT = "id,displayName,userPrincipalName,accountEnabled,mail,employeeId,department,jobTitle"
ORGANIZATION_SELECT = "id,displayName,countryLetterCode"
SKU_SELECT = "skuId,skuPartNumber,appliesTo,capabilityStatus,consumedUnits,prepaidUnits,servicePlans"


class Incomplete(Unavailable):
    """An answer that lacks what it must have: the property `name` of `shape`."""

    def __init__(self, shape: str, name: str, fault: str = "is missing or null") -> None:
        super().__init__(None, f"{shape}: {name} {fault}")
        self.shape = shape
        self.name = name


def values(body: Row, shape: str) -> list[Any]:
    """The list of a collection answer. Raises Incomplete when there is none."""
    return _list(body, "value", shape)


def user(row: Row, *, group_ids: frozenset[GroupId] = frozenset(), shared: SharedStates | None = None) -> DirectoryUser:
    """A user (learn.microsoft.com/graph/api/resources/user), all of `USER_SELECT`.

    Null is meant for `usageLocation`, and for `userType` and `displayName` of some old synchronised accounts, but only
    where `accountEnabled` shows that the account may be read at all. `shared` gives equal users the same states.
    """
    user_id = _text(row, "id", "user")
    enabled = _require(row, "accountEnabled", "user")
    if not isinstance(enabled, bool):
        raise Incomplete("user", "accountEnabled", "is no boolean")
    raw_states = _list(row, "licenseAssignmentStates", "user")
    return DirectoryUser(
        id=UserId(user_id.lower()),
        user_principal_name=_text(row, "userPrincipalName", "user"),
        display_name=_nullable(row, "displayName", "user") or "",
        account_enabled=enabled,
        user_type=sys.intern(_nullable(row, "userType", "user") or "Member"),
        usage_location=_interned(_nullable(row, "usageLocation", "user")),
        license_assignment_states=(
            tuple(map(license_assignment_state, raw_states)) if shared is None else shared.states(raw_states)
        ),
        group_ids=group_ids,
    )


def enabled_plans(row: Row) -> Plans:
    """The service plans in `assignedPlans` whose `capabilityStatus` is Enabled
    (learn.microsoft.com/graph/api/resources/assignedplan). Raises Incomplete without the property."""
    plans = [each for each in _list(row, "assignedPlans", "user") if isinstance(each, dict)]
    enabled = [each for each in plans if each.get("capabilityStatus") == "Enabled"]
    return frozenset(ServicePlanId(_text(each, "servicePlanId", "assignedPlan").lower()) for each in enabled)


def addresses(row: Row) -> list[str]:
    """The e-mail addresses of a user or group in lower case, without the kind before the colon."""
    return [str(each).lower().partition(":")[2] for each in _list(row, "proxyAddresses", "directoryObject")]


def found_user(row: Row) -> FoundUser:
    """A user as a search shows it, all of `FOUND_USER_SELECT`; only id, sign-in name and `accountEnabled` are never
    null."""
    shape = "user"
    enabled = _require(row, "accountEnabled", shape)
    return FoundUser(
        id=UserId(_text(row, "id", shape).lower()),
        display_name=_nullable(row, "displayName", shape) or "",
        user_principal_name=_text(row, "userPrincipalName", shape),
        account_enabled=enabled is True,
        mail=row.get("mail") or "",
        employee_id=row.get("employeeId") or "",
        department=row.get("department") or "",
        job_title=row.get("jobTitle") or "",
    )


def license_assignment_state(row: Row) -> LicenseAssignmentState:
    """One license and its source (learn.microsoft.com/graph/api/resources/licenseassignmentstate).

    A row without `assignedByGroup` is not taken for a direct license. Where all is well `error` is null by the
    documentation and the text None in practice.
    """
    shape = "licenseAssignmentState"
    group = _nullable(row, "assignedByGroup", shape)
    error = row.get("error")
    return LicenseAssignmentState(
        sku_id=SkuId(_text(row, "skuId", shape).lower()),
        disabled_plans=_plans(row, shape),
        assigned_by_group=GroupId(group.lower()) if group else None,
        state=LicenseState.parse(_text(row, "state", shape)),
        error=None if error in (None, "", "None") else str(error),
        last_updated=_time(row.get("lastUpdatedDateTime")),
    )


class SharedStates:
    """Decodes assignment states of very many users into few objects: most people have what their colleagues have.

    The time of the last update is left out, so that equal rows are one object. Keep for one reading only.
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[object, ...], LicenseAssignmentState] = {}
        self._tuples: dict[tuple[int, ...], tuple[LicenseAssignmentState, ...]] = {}

    def states(self, raw_rows: Sequence[Row]) -> tuple[LicenseAssignmentState, ...]:
        """The states; raises Incomplete as the function for one does."""
        rows = tuple(map(self._state, raw_rows))
        return self._tuples.setdefault(tuple(map(id, rows)), rows)

    def _state(self, row: Row) -> LicenseAssignmentState:
        try:
            key = (row["skuId"], row["assignedByGroup"], row["state"], row.get("error"), *row["disabledPlans"])
            found = self._rows.get(key)
        except (KeyError, TypeError):
            return license_assignment_state(row)
        if found is None:
            found = self._rows[key] = license_assignment_state({**row, "lastUpdatedDateTime": None})
        return found


def assigned_license(row: Row) -> AssignedLicense:
    """learn.microsoft.com/graph/api/resources/assignedlicense"""
    return AssignedLicense(SkuId(_text(row, "skuId", "assignedLicense").lower()), _plans(row, "assignedLicense"))


def group(row: Row) -> DirectoryGroup:
    """A group (learn.microsoft.com/graph/api/resources/group), all of `GROUP_SELECT`.

    `visibility`, `onPremisesSyncEnabled` and `isAssignableToRole` may be null.
    """
    secure = _require(row, "securityEnabled", "group")
    if not isinstance(secure, bool):
        raise Incomplete("group", "securityEnabled", "is no boolean")
    return DirectoryGroup(
        id=GroupId(_text(row, "id", "group").lower()),
        display_name=_text(row, "displayName", "group"),
        security_enabled=secure,
        group_types=tuple(map(str, _list(row, "groupTypes", "group"))),
        hidden_membership=_nullable(row, "visibility", "group") == "HiddenMembership",
        native_skus=tuple(map(assigned_license, _list(row, "assignedLicenses", "group"))),
        on_premises=_require_key(row, "onPremisesSyncEnabled", "group") is True,
        role_assignable=_require_key(row, "isAssignableToRole", "group") is True,
        mail_enabled=_require_key(row, "mailEnabled", "group") is True,
    )


def processing_state(row: Row) -> str:
    """`licenseProcessingState` of a group: an object with `state`, a text as documented, or null without licenses
    (KelvinTegelaar/CIPP, Tests/Shapes/ListGroups.json)."""
    value = row.get("licenseProcessingState")
    state = value.get("state") if isinstance(value, dict) else value
    return state if isinstance(state, str) else ""


def subscribed_sku(row: Row) -> SubscribedSku:
    """learn.microsoft.com/graph/api/resources/subscribedsku, all of `SKU_SELECT`."""
    shape = "subscribedSku"
    units = _require(row, "prepaidUnits", shape)
    return SubscribedSku(
        sku_id=SkuId(_text(row, "skuId", shape).lower()),
        sku_part_number=_text(row, "skuPartNumber", shape),
        service_plans=tuple(map(service_plan, _list(row, "servicePlans", shape))),
        applies_to=_text(row, "appliesTo", shape),
        capability_status=_text(row, "capabilityStatus", shape),
        enabled=_units(units, "enabled"),
        warning=_units(units, "warning"),
        suspended=_units(units, "suspended"),
        locked_out=_units(units, "lockedOut"),
        consumed_units=_number(row, "consumedUnits", shape),
    )


def _country(row: Row, shape: str) -> str | None:
    return _nullable(row, "countryLetterCode", shape) if "countryLetterCode" in row else None


def service_plan(row: Row) -> ServicePlan:
    """learn.microsoft.com/graph/api/resources/serviceplaninfo"""
    shape = "servicePlanInfo"
    return ServicePlan(
        service_plan_id=ServicePlanId(_text(row, "servicePlanId", shape).lower()),
        service_plan_name=_text(row, "servicePlanName", shape),
        applies_to=_text(row, "appliesTo", shape),
        provisioning_status=_text(row, "provisioningStatus", shape),
    )


def organization(row: Row) -> Organization:
    """learn.microsoft.com/graph/api/resources/organization; a tenant may have no country, and an app without
    Organization.Read.All may not see it."""
    shape = "organization"
    name = _nullable(row, "displayName", shape) or ""
    return Organization(_text(row, "id", shape).lower(), name, _country(row, shape))


def ids(raw_ids: Sequence[Any], shape: str, kind: Callable[[str], T]) -> frozenset[T]:
    """A list of ids in lower case."""
    if not all(isinstance(each, str) for each in raw_ids):
        raise Incomplete(shape, "value", "holds something that is no id")
    return frozenset(kind(each.lower()) for each in raw_ids)


def _require(row: Row, name: str, shape: str) -> Any:
    try:
        value = row[name]
    except (KeyError, TypeError) as fault:
        raise Incomplete(shape, name) from fault
    if value is None:
        raise Incomplete(shape, name)
    return value


def _text(row: Row, name: str, shape: str) -> str:
    value = _require(row, name, shape)
    if not isinstance(value, str):
        raise Incomplete(shape, name, "is no text")
    return value


def _require_key(row: Row, name: str, shape: str) -> object:
    """A value or null; a property that is not there at all was not read."""
    try:
        return row[name]
    except (KeyError, TypeError) as fault:
        raise Incomplete(shape, name) from fault


def _nullable(row: Row, name: str, shape: str) -> str | None:
    """A text or null; a property that is not there at all was not read."""
    value = _require_key(row, name, shape)
    if value is not None and not isinstance(value, str):
        raise Incomplete(shape, name, "is no text")
    return value


def _list(row: Row, name: str, shape: str) -> list[Any]:
    value = _require(row, name, shape)
    if not isinstance(value, list):
        raise Incomplete(shape, name, "is no list")
    return value


def _number(row: Row, name: str, shape: str) -> int:
    value = _require(row, name, shape)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Incomplete(shape, name, "is no number")
    return value


def _units(units: Row, name: str) -> int:
    """Units in one state. Those that Graph leaves out are none: `lockedOut` is absent in answers of live tenants that
    others recorded (pnp/cli-microsoft365, cartography-cncf/cartography)."""
    return _number(units, name, "licenseUnitsDetail") if name in units else 0


def _plans(row: Row, shape: str) -> Plans:
    return ids(_list(row, "disabledPlans", shape), shape, ServicePlanId)


def _interned(text: str | None) -> str | None:
    return sys.intern(text) if text else None


def _time(text: object) -> datetime | None:
    """A time of Graph's; None for none. Raises Incomplete for one that cannot be read."""
    if text is None:
        return None
    try:
        value = datetime.fromisoformat(str(text))
    except ValueError as fault:
        raise Incomplete("licenseAssignmentState", "lastUpdatedDateTime", f"is no time: {text}") from fault
    return value if value.tzinfo else value.replace(tzinfo=UTC)
