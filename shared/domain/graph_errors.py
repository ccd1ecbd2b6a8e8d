"""What a refusal by Graph means: which error it is, whether waiting helps, what a person can do.

Licensing failures nearly all carry the code Request_BadRequest, so the text decides; Microsoft may change texts, so an
unknown one is kept whole and shown (learn.microsoft.com/graph/errors,
learn.microsoft.com/entra/identity/users/licensing-groups-resolve-problems).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, LicenseError
from shared.domain.ids import Plans, ServicePlanId, SkuId


class Advice(StrEnum):
    """What to do with the rest of the user's call."""

    DROP_SKU = "dropSku"
    WAIT_FOR_SEAT = "waitForSeat"
    RETRY = "retry"
    TREAT_AS_DONE = "treatAsDone"
    FAIL_USER = "failUser"
    STOP_OPERATION = "stopOperation"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A classified refusal; `text` is Graph's message, whole."""

    error: LicenseError
    advice: Advice
    text: str
    remedy: str
    sku_ids: tuple[SkuId, ...] = ()
    plan_ids: tuple[ServicePlanId, ...] = ()
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A text of Graph's. `names_sku`/`names_plans`: what the GUIDs in it are."""

    text: re.Pattern[str]
    error: LicenseError
    advice: Advice
    names_sku: bool = False
    names_plans: bool = False


def _pattern(
    text: str, error: LicenseError, advice: Advice, *, names_sku: bool = False, names_plans: bool = False
) -> _Pattern:
    return _Pattern(re.compile(text, re.IGNORECASE | re.DOTALL), error, advice, names_sku, names_plans)


PATTERNS: tuple[_Pattern, ...] = (
    _pattern(r"invalid usage location", LicenseError.PROHIBITED_IN_USAGE_LOCATION, Advice.FAIL_USER),
    _pattern(
        r"does not have any available licenses",
        LicenseError.COUNT_VIOLATION,
        Advice.WAIT_FOR_SEAT,
        names_sku=True,
    ),
    _pattern(r"mutually exclusive", LicenseError.MUTUALLY_EXCLUSIVE, Advice.DROP_SKU, names_plans=True),
    _pattern(
        r"conflict with plans in the new license|conflicting service plan",
        LicenseError.MUTUALLY_EXCLUSIVE,
        Advice.DROP_SKU,
        names_plans=True,
    ),
    _pattern(r"depends on the service plan", LicenseError.DEPENDENCY, Advice.DROP_SKU, names_plans=True),
    _pattern(
        r"does not correspond to a valid company license",
        LicenseError.INVALID_LICENSE,
        Advice.STOP_OPERATION,
        names_sku=True,
    ),
    _pattern(r"cannot be assigned to a user", LicenseError.INVALID_LICENSE, Advice.DROP_SKU, names_sku=True),
    _pattern(r"user does not have a corresponding license", LicenseError.OTHER, Advice.TREAT_AS_DONE),
    _pattern(r"inherited from a group membership", LicenseError.OTHER, Advice.DROP_SKU, names_sku=True),
    _pattern(r"no license changes provided", LicenseError.OTHER, Advice.TREAT_AS_DONE),
    _pattern(
        r"same value for property proxyaddresses|proxy address is already being used",
        LicenseError.UNIQUENESS,
        Advice.DROP_SKU,
    ),
)
"""Texts seen from Graph, the first that matches counts. A location where a service is not sold, and a plan that is not
in its SKU, have no known text: they end as unknown ones."""

REMEDIES: dict[LicenseError, str] = {
    LicenseError.COUNT_VIOLATION: "Buy licenses of this product or take some from users who do not need them.",
    LicenseError.MUTUALLY_EXCLUSIVE: (
        "Remove the other license, or disable one of the conflicting service plans in the group's assignment."
    ),
    LicenseError.DEPENDENCY: (
        "Assign the product with the required service plan too, or remove first what depends on this one."
    ),
    LicenseError.PROHIBITED_IN_USAGE_LOCATION: (
        "Correct the user's usage location, or disable the service plan that is not offered there."
    ),
    LicenseError.UNIQUENESS: (
        "Another object uses one of the user's proxy addresses: remove the duplicate address, then reprocess the user."
    ),
    LicenseError.OTHER: "Read Graph's message; when its cause is corrected, reprocess the user.",
    LicenseError.NOT_FOUND: "The user does not exist (any more); nothing is to be done if the account was deleted.",
    LicenseError.PERMISSION: (
        "Grant the app the permission that the message is about (see the permissions in the operating guide)."
    ),
    LicenseError.INVALID_LICENSE: "The product is not one the tenant can assign; correct the group's assignment.",
    LicenseError.CONCURRENCY: "Another program changes this user's licenses at the same time; it is tried again.",
    LicenseError.UNAVAILABLE: "Microsoft Graph did not answer; the next sync tries again, or reprocess the user.",
}

_SKUS_FOLLOW = re.compile(r"licenses being added", re.IGNORECASE)
"""Where a text about service plans goes on to list the SKUs of the call."""

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def remedy_for(error: LicenseError) -> str:
    """What a person can do about an error, in plain words."""
    return REMEDIES[error]


def classify(status: int, code: str, message: str) -> Refusal:
    """What a definite refusal means. Raises ValueError for 429 and 5xx, which are no refusals."""
    if status == 429 or status >= 500:
        raise ValueError(f"HTTP {status} is not a refusal")
    if status in (401, 403):
        return _refusal(LicenseError.PERMISSION, Advice.STOP_OPERATION, code, message)
    if status == 404:
        return _refusal(LicenseError.NOT_FOUND, Advice.FAIL_USER, code, message)
    if status == 409:
        return _refusal(LicenseError.CONCURRENCY, Advice.RETRY, code, message)
    for pattern in PATTERNS:
        if pattern.text.search(message):
            sku_ids, plan_ids = _named(pattern, message)
            refusal = _refusal(pattern.error, pattern.advice, code, message)
            return replace(refusal, sku_ids=sku_ids, plan_ids=plan_ids)
    return _refusal(LicenseError.OTHER, Advice.DROP_SKU, code, message)


def _named(pattern: _Pattern, message: str) -> tuple[tuple[SkuId, ...], tuple[ServicePlanId, ...]]:
    """The SKUs and the service plans that a text names."""
    if pattern.names_sku:
        return tuple(map(SkuId, _guids(message))), ()
    if not pattern.names_plans:
        return (), ()
    about, *lists = _SKUS_FOLLOW.split(message)
    return tuple(map(SkuId, _guids(" ".join(lists)))), tuple(map(ServicePlanId, _guids(about)))


def _guids(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(guid.lower() for guid in _GUID.findall(text)))


def _refusal(error: LicenseError, advice: Advice, code: str, message: str) -> Refusal:
    return Refusal(error, advice, message or code, remedy_for(error))


def skus_to_drop(
    refusal: Refusal, add: Sequence[AssignedLicense], remove: Sequence[SkuId], catalog: Catalog
) -> tuple[SkuId, ...]:
    """Which SKU of a refused call to leave out: the one named; where plans are named, one that contains such a plan, of
    additions the last; none where the text does not say, so that each is to be tried alone.

    A text that names plans may also list all SKUs of the call, so there the plans decide first.
    """
    called = [*(license.sku_id for license in add), *remove]
    named = tuple(sku_id for sku_id in called if sku_id in refusal.sku_ids)
    if not refusal.plan_ids:
        return named
    plans = set(refusal.plan_ids)
    additions = [license.sku_id for license in add if plans & (catalog.plans(license.sku_id) - license.disabled_plans)]
    if additions:
        return (additions[-1],)
    return named[-1:] or tuple(sku_id for sku_id in remove if plans & catalog.plans(sku_id))[-1:]


def without(
    add: Iterable[AssignedLicense],
    remove: Iterable[SkuId],
    dropped: SkuId,
    catalog: Catalog,
    plans_off: Mapping[SkuId, Plans] | None = None,
) -> tuple[tuple[AssignedLicense, ...], tuple[SkuId, ...]]:
    """The call without one SKU. Without an addition, every removal that it may have been to replace stays away too, and
    every license in which `plans_off` (by SKU) are turned off that it was to replace.

    Without a removal, additions that conflict with the license that stays are left out, and what those were to replace.
    """
    adding, removing = list(add), [sku_id for sku_id in remove if sku_id != dropped]
    leaving = [dropped]
    if dropped not in {license.sku_id for license in adding}:
        stays = catalog.plans(dropped)
        leaving = [
            license.sku_id
            for license in adding
            if catalog.clash(stays, catalog.plans(license.sku_id) - license.disabled_plans)
        ]
    off = dict(plans_off or {})
    while leaving:
        left = leaving.pop()
        adding = [license for license in adding if license.sku_id != left]
        removing = [sku_id for sku_id in removing if not catalog.overlaps(left, sku_id)]
        for sku_id in [each for each in off if each != left and catalog.touches(off[each], catalog.plans(left))]:
            del off[sku_id]
            leaving.append(sku_id)
    return tuple(adding), tuple(removing)
