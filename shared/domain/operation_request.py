"""A request before it becomes an operation: checks that need no group, and the fingerprint of its key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta

from shared.domain.assignment import AssignmentOptions, OptionsChange
from shared.domain.catalog import Catalog
from shared.domain.errors import BadRequest, raise_all
from shared.domain.ids import GroupId, OperationId, SkuId
from shared.domain.initiator import Initiator
from shared.domain.operation import LicenseChange, OperationKind, Target
from shared.domain.product_checks import check_products


@dataclass(frozen=True, slots=True)
class GroupChange:
    """A change of another group that a preview assumes. `options`: to set with it; other options stay."""

    group_id: GroupId
    change: LicenseChange
    options: OptionsChange | None = None


@dataclass(frozen=True, slots=True)
class OperationRequest:
    """A request: additions and removals for a group or a list of users, or only a reconciliation.

    `options`: options to set with the change; other options of the group stay. `if_match`: the intent version that the
    caller saw; None merges. `preview_id`: a preview of the same change that the same person has seen. This request
    approves the removals in its snapshot.
    """

    target: Target
    initiator: Initiator
    change: LicenseChange = field(default_factory=LicenseChange)
    preview: bool = False
    reprocess: bool = False
    idempotency_key: str = ""
    preview_id: OperationId | None = None
    if_match: int | None = None
    cause: str = "request"
    correlation_id: str = ""
    traceparent: str = ""
    options: OptionsChange | None = None
    other_changes: tuple[GroupChange, ...] = ()
    """Of a preview on a group: changes of other groups that it assumes."""


def kind_of(request: OperationRequest) -> OperationKind:
    """The word for what a request does."""
    if request.change.keep:
        return OperationKind.STOP_MANAGING
    if request.change.add and request.change.remove:
        return OperationKind.CHANGE
    if request.change.add:
        return OperationKind.ASSIGN
    if request.change.remove:
        return OperationKind.REMOVE
    if request.change.manage:
        return OperationKind.ADOPT
    return OperationKind.ENABLE if request.change.enable else OperationKind.REPROCESS


def check_form(request: OperationRequest) -> None:
    """Check a request without knowledge of the tenant. Raises BadRequest."""
    change, target = request.change, request.target
    if target.is_group == bool(target.user_ids):
        raise BadRequest("InvalidTarget", "Give either a group or a list of users.", "target")
    if not change.changes_intent and not change.manage and not change.enable and not request.reprocess:
        raise BadRequest("NoLicenseChanges", "addLicenses and removeLicenses are both empty.", "addLicenses")
    _check_others(request)
    for each in (change, *(other.change for other in request.other_changes)):
        check_keep(each)
    if change.keep and not target.is_group:
        raise BadRequest("KeepsNothing", "keepLicenses is for groups only.", "keepLicenses")
    both = {license.sku_id for license in change.add} & set(change.remove)
    text = "SKU {} is in addLicenses and in removeLicenses."
    raise_all([BadRequest("SkuInBoth", text.format(sku_id), "removeLicenses") for sku_id in sorted(both)])


def check_keep(change: LicenseChange) -> None:
    """Raises BadRequest for licenses to keep where the change does not only remove some."""
    if change.keep and (change.add or not change.remove):
        text = "keepLicenses needs removeLicenses with every product of the group, and no addLicenses."
        raise BadRequest("KeepsNothing", text, "keepLicenses")


def _check_others(request: OperationRequest) -> None:
    ids = [each.group_id for each in request.other_changes]
    if ids and not request.preview:
        text = "Only a preview assumes changes of other groups. Send each group's change with its own request."
        raise BadRequest("PreviewOnly", text, "otherChanges")
    if len(set(ids)) < len(ids) or request.target.group_id in ids:
        raise BadRequest("GroupTwice", "otherChanges must name each other group once.", "otherChanges")


def check_for_users(change: LicenseChange, catalog: Catalog) -> None:
    """Check a change on named users. Raises BadRequest, AssignmentError."""
    check_known((*change.manage, *change.enable), catalog)
    check_products(change.add, catalog, {})


def check_known(sku_ids: Collection[SkuId], catalog: Catalog) -> None:
    """Raises BadRequest for a SKU that the tenant does not have."""
    unknown = sorted(set(sku_ids) - catalog.skus.keys())
    raise_all([BadRequest("UnknownSku", f"The tenant has no SKU {sku_id}.", "skuIds") for sku_id in unknown])


def claim_key(initiator: Initiator, idempotency_key: str) -> str:
    """Under what a request's key is claimed: two callers can use the same one."""
    return f"{initiator.key}:{idempotency_key}"


def fingerprint(request: OperationRequest) -> str:
    """64 hex digits over the request, to distinguish a repeat from a different request under the same key.

    Stored keys hold it, so it must stay the same for the same request. An option counts only if the request names it.
    In a full set of options, it counts only if it differs from its default. A new option therefore changes no
    fingerprint.
    """
    asked = _asked(request)
    if request.options is not None:
        asked.append({"set": _plain(request.options.named)})
    if request.change.options is not None:
        asked.append({"all": _plain(_not_default(request.change.options))})
    return _digest(asked)


def former_fingerprint(request: OperationRequest, options: AssignmentOptions) -> str:
    """The fingerprint that versions before December 2026 stored for a request with these options of the group. It
    covered the text of the audit log for all options at that time.

    Can be removed once no stored key is that old. A key is kept as long as its operation. That is one RETENTION (365
    days by default) after the deployment of a newer version.
    """
    grace = options.grace
    shown = {
        "usageLocation": options.usage_location,
        "requireUsageLocation": options.require_usage_location,
        "countInherited": options.count_inherited,
        "includeGuests": options.include_guests,
        "includeDisabledAccounts": options.include_disabled_accounts,
        "excludedGroups": sorted(options.excluded_groups),
        "grace": f"PT{int(grace.total_seconds())}S" if grace.seconds else f"P{grace.days}D",
        "dependencies": "sameGroup",
        "allowNativeOverlap": options.allow_native_overlap,
        "priority": options.priority,
    }
    return _digest([*_asked(request), json.dumps(shown, separators=(",", ":"))])


def _asked(request: OperationRequest) -> list[object]:
    """Everything but the options."""
    change = request.change
    asked: list[object] = [
        request.target.group_id,
        sorted(request.target.user_ids),
        sorted((license.sku_id, sorted(license.disabled_plans)) for license in change.add),
        sorted(change.remove),
        request.preview,
        request.reprocess,
    ]
    if change.manage or change.enable:
        asked.append([sorted(change.manage), sorted(change.enable)])
    if change.keep:
        asked.append("keep")
    if request.other_changes:
        asked.append({each.group_id: _other(each) for each in request.other_changes})
    return asked


def _other(each: GroupChange) -> list[object]:
    add = sorted((license.sku_id, sorted(license.disabled_plans)) for license in each.change.add)
    kept = ["keep"] if each.change.keep else []
    return [add, sorted(each.change.remove), _plain(each.options.named) if each.options else None, *kept]


def _not_default(options: AssignmentOptions) -> dict[str, object]:
    default = type(options)()
    values = {each.name: getattr(options, each.name) for each in fields(options)}
    return {name: value for name, value in values.items() if value != getattr(default, name)}


def _plain(options: Mapping[str, object]) -> dict[str, object]:
    """Options as JSON can write them, the same for the same values."""
    return {name: _plain_value(value) for name, value in sorted(options.items())}


def _plain_value(value: object) -> object:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return sorted(value) if isinstance(value, frozenset) else value


def _digest(asked: list[object]) -> str:
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()
