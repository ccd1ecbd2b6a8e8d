"""Objects exactly as a test describes them, put into the directory (POST /_tenant/objects)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from local.tenant.directory.directory import Directory
from local.tenant.directory.model import (
    AssignedLicense,
    Device,
    DirectoryObject,
    Group,
    LicenseRow,
    ServicePrincipal,
    Subscription,
    User,
)
from local.tenant.licensing.native import settle_user
from local.tenant.licensing.rules import Rules

_KINDS: dict[str, Callable[[str, str], DirectoryObject]] = {"devices": Device, "servicePrincipals": ServicePrincipal}


def place_objects(directory: Directory, body: dict[str, Any], now: float) -> dict[str, list[str]]:
    """Create or replace SKUs, users, devices, service principals and groups; answers the ids of each.

    ValueError names an entry that cannot be placed. Members of a group are exactly those listed; a group without
    `members` keeps those it has.
    """
    unknown = set(body) - {"skus", "users", "groups", *_KINDS}
    if unknown:
        raise ValueError(f"objects has unknown kinds: {', '.join(sorted(unknown))}")
    placed: dict[str, list[str]] = {}
    placed["skus"] = [_place_sku(directory, raw) for raw in body.get("skus", ())]
    placed["users"] = [_place_user(directory, raw, now) for raw in body.get("users", ())]
    for kind, make in _KINDS.items():
        placed[kind] = [_place_other(directory, raw, make) for raw in body.get(kind, ())]
    raw_groups = body.get("groups", ())
    placed["groups"] = [_place_group(directory, raw, now) for raw in raw_groups]
    for raw, group_id in zip(raw_groups, placed["groups"], strict=True):
        _set_members(directory, directory.groups[group_id], raw, now)
        missing = set(directory.groups[group_id].owner_ids) - directory.objects.keys()
        if missing:
            raise ValueError(f"group {group_id}: owners {', '.join(sorted(missing))} do not exist")
    directory.recount_units()
    for group_id in placed["groups"]:
        _settle(directory, directory.groups[group_id], now)
    return placed


def sku_id_of(directory: Directory, raw: dict[str, Any] | str) -> str:
    """skuId of an entry that gives skuId or skuPartNumber, or of either as a plain string."""
    key = raw if isinstance(raw, str) else raw.get("skuId") or raw.get("skuPartNumber")
    if not isinstance(key, str):
        raise ValueError(f"a SKU needs skuId or skuPartNumber: {raw!r}")
    if key.lower() in directory.catalog.products:
        return key.lower()
    return directory.catalog.by_part_number(key).sku_id


def _place_sku(directory: Directory, raw: dict[str, Any]) -> str:
    sku_id = sku_id_of(directory, raw)
    units = {name: int(raw.get(name, 0)) for name in ("warning", "suspended")}
    subscription = Subscription(sku_id, int(raw.get("enabled", 0)), locked_out=int(raw.get("lockedOut", 0)), **units)
    subscription.applies_to = raw.get("appliesTo", "User")
    subscription.capability_status = raw.get("capabilityStatus", subscription.capability_status)
    directory.withdrawn.pop(sku_id, None)
    directory.subscriptions[sku_id] = subscription
    return sku_id


def _place_user(directory: Directory, raw: dict[str, Any], now: float) -> str:
    user_id = str(raw.get("id") or uuid.uuid4()).lower()
    upn = raw.get("userPrincipalName") or f"{user_id}@{directory.domain}"
    user = User(user_id, raw.get("displayName") or upn.split("@", 1)[0], upn, now)
    user.usage_location = raw.get("usageLocation", "DE")
    user.account_enabled = raw.get("accountEnabled", True)
    user.user_type = raw.get("userType", "Member")
    user.employee_id = raw.get("employeeId")
    user.department, user.job_title = raw.get("department"), raw.get("jobTitle")
    user.created -= float(raw.get("createdSecondsAgo", 0))
    user.proxy_clash = bool(raw.get("proxyAddressClash", False))
    user.rows = tuple(
        LicenseRow(sku, off, None, "Active", "None", now)
        for sku, off in (_license(directory, one) for one in raw.get("licenses", ()))
    )
    if raw.get("deleted"):
        user.deleted = now
    directory.add(user)
    for address in raw.get("aliases", ()):
        directory.give_alias(user, str(address))
    return user_id


def _place_other(directory: Directory, raw: dict[str, Any], make: Callable[[str, str], DirectoryObject]) -> str:
    object_id = str(raw.get("id") or uuid.uuid4()).lower()
    directory.add(make(object_id, raw.get("displayName") or object_id))
    return object_id


def _place_group(directory: Directory, raw: dict[str, Any], now: float) -> str:
    group_id = str(raw.get("id") or uuid.uuid4()).lower()
    group = Group(group_id, raw.get("displayName") or group_id, now)
    group.security_enabled = raw.get("securityEnabled", True)
    group.group_types = tuple(raw.get("groupTypes", ()))
    group.visibility = raw.get("visibility")
    group.role_assignable = bool(raw.get("isAssignableToRole", False))
    group.on_premises = bool(raw.get("onPremisesSyncEnabled", False))
    group.rule = raw.get("membershipRule")
    group.owner_ids = tuple(str(one).lower() for one in raw.get("owners", ()))
    group.licenses = tuple(_license(directory, one) for one in raw.get("assignedLicenses", ()))
    if group.licenses:
        group.processing_state = "ProcessingComplete"
    directory.add(group)
    return group_id


def _set_members(directory: Directory, group: Group, raw: dict[str, Any], now: float) -> None:
    if "members" not in raw:
        return
    wanted = {str(one).lower() for one in raw["members"]}
    missing = wanted - directory.objects.keys()
    if missing:
        raise ValueError(f"group {group.display_name}: members {', '.join(sorted(missing)[:5])} do not exist")
    for member_id in [one for one in group.member_ids if one not in wanted]:
        directory.remove_member(group, directory.objects[member_id], now)
    for member_id in sorted(wanted):
        directory.add_member(group, directory.objects[member_id], now)


def _settle(directory: Directory, group: Group, now: float) -> None:
    for member_id in group.member_ids if group.licenses else ():
        user = directory.users.get(member_id)
        if user is not None and user.deleted is None:
            settle_user(directory, user, group, Rules(directory.catalog, {}), now)


def _license(directory: Directory, raw: dict[str, Any] | str) -> AssignedLicense:
    disabled = () if isinstance(raw, str) else tuple(str(plan).lower() for plan in raw.get("disabledPlans", ()))
    sku_id = sku_id_of(directory, raw)
    return AssignedLicense(sku_id, disabled)
