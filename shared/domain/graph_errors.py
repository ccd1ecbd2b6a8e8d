"""The meaning of a rejection by Graph: the error, whether waiting helps, and what a person can do.

Nearly all licensing failures have the code Request_BadRequest, so the text decides. Microsoft can change texts, so an
unknown one is kept complete and shown (learn.microsoft.com/graph/errors,
learn.microsoft.com/entra/identity/users/licensing-groups-resolve-problems).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from shared.domain.directory import LicenseError
from shared.domain.ids import ServicePlanId, SkuId


class Advice(StrEnum):
    """What to do with the rest of the user's call."""

    DROP_SKU = "dropSku"
    WAIT_FOR_SEAT = "waitForSeat"
    RETRY = "retry"
    TREAT_AS_DONE = "treatAsDone"
    FAIL_USER = "failUser"
    WAIT_FOR_GRANT = "waitForGrant"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A classified rejection; `text` is Graph's message, whole.

    `plan_ids`: plans that conflict, or that lack a plan they depend on. `needed_ids`: the plans they depend on.
    """

    error: LicenseError
    advice: Advice
    text: str
    remedy: str
    sku_ids: tuple[SkuId, ...] = ()
    plan_ids: tuple[ServicePlanId, ...] = ()
    needed_ids: tuple[ServicePlanId, ...] = ()

    def names(self, name: str) -> bool:
        """Whether an id, or a part number as a whole word, occurs in the text."""
        return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", self.text, re.IGNORECASE) is not None


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
    _pattern(
        r"mutually exclusive|conflicts? with|conflicting service plan",
        LicenseError.MUTUALLY_EXCLUSIVE,
        Advice.DROP_SKU,
        names_plans=True,
    ),
    _pattern(r"depends on the service plan", LicenseError.DEPENDENCY, Advice.DROP_SKU, names_plans=True),
    _pattern(
        r"does not correspond to a valid company license",
        LicenseError.INVALID_LICENSE,
        Advice.DROP_SKU,
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
"""Texts seen from Graph, the first that matches counts. A conflict has several wordings, and its plans are separated by
", ", "," or words. A location where a service is not sold, and a plan that is not in its SKU, have no known text: they
end as unknown ones."""

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
    LicenseError.NOT_FOUND: "The user does not exist (any more). If the account was deleted, do nothing.",
    LicenseError.PERMISSION: (
        "Grant the app the permission that the message is about (see the permissions in the operating guide). It "
        "counts within a day, without a restart."
    ),
    LicenseError.INVALID_LICENSE: (
        "Renew or buy a subscription of this product, or remove the product from the group; then reprocess."
    ),
    LicenseError.CONCURRENCY: "Another program changes this user's licenses at the same time; it is tried again.",
    LicenseError.UNAVAILABLE: "Microsoft Graph did not answer; the next sync tries again, or reprocess the user.",
}

_CONTENTION_CODES = frozenset({"Directory_ConcurrencyViolation", "Request_ThrottledTemporarily"})
_CONTENTION_TEXT = re.compile(r"concurrent requests being made to the tenant", re.IGNORECASE)


def is_contention(status: int, code: str, message: str) -> bool:
    """Whether Graph rejects a write because of others in flight. Seen with 409 (nais/azurerator 448), 503
    (Azure/azure-cli 23081) and 400, with this code, with this text under a general code, or both."""
    return status in (400, 409, 503) and (code in _CONTENTION_CODES or bool(_CONTENTION_TEXT.search(message)))


_SKUS_FOLLOW = re.compile(r"licenses being added", re.IGNORECASE)
"""Where a text about service plans goes on to list the SKUs of the call."""

_NEEDS = re.compile(r"depends on", re.IGNORECASE)
"""Where a text about a missing prerequisite goes on to list what is needed."""

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def remedy_for(error: LicenseError) -> str:
    """The remedy for an error, in plain words."""
    return REMEDIES[error]


def classify(status: int, code: str, message: str) -> Rejection:
    """The meaning of a definite rejection. Raises ValueError for 429 and 5xx, which are not rejections."""
    if status == 429 or status >= 500:
        raise ValueError(f"HTTP {status} is not a rejection")
    if status in (401, 403):
        return _rejection(LicenseError.PERMISSION, Advice.WAIT_FOR_GRANT, code, message)
    if status == 404:
        return _rejection(LicenseError.NOT_FOUND, Advice.FAIL_USER, code, message)
    if status == 409:
        return _rejection(LicenseError.CONCURRENCY, Advice.RETRY, code, message)
    for pattern in PATTERNS:
        if pattern.text.search(message):
            return _with_names(pattern, _rejection(pattern.error, pattern.advice, code, message))
    return _rejection(LicenseError.OTHER, Advice.DROP_SKU, code, message)


def _with_names(pattern: _Pattern, rejection: Rejection) -> Rejection:
    """With the SKUs and the service plans that the text names."""
    if pattern.names_sku:
        return replace(rejection, sku_ids=tuple(map(SkuId, _guids(rejection.text))))
    if not pattern.names_plans:
        return rejection
    about, *lists = _SKUS_FOLLOW.split(rejection.text)
    about, *needed = _NEEDS.split(about) if rejection.error is LicenseError.DEPENDENCY else (about,)
    return replace(
        rejection,
        sku_ids=tuple(map(SkuId, _guids(" ".join(lists)))),
        plan_ids=tuple(map(ServicePlanId, _guids(about))),
        needed_ids=tuple(map(ServicePlanId, _guids(" ".join(needed)))),
    )


def _guids(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(guid.lower() for guid in _GUID.findall(text)))


def _rejection(error: LicenseError, advice: Advice, code: str, message: str) -> Rejection:
    return Rejection(error, advice, message or code, remedy_for(error))
