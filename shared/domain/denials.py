"""Rejections for a missing permission, and how long the work waits for a grant.

A grant counts in tokens that were made after it. Azure caches the token of a managed identity for about a day, and a
restart does not renew it (Azure/azure-sdk-for-net issue 27019, MicrosoftDocs/azure-docs issue 101801). So Graph can
answer 403 for a day although everything is granted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from shared.domain.backoff import Backoff
from shared.domain.write_results import Accepted, Rejected, WriteResult


class Right(StrEnum):
    """Kinds of writes that need a permission each."""

    LICENSES = "licenses"
    LOCATIONS = "usageLocations"


GRANT_WAIT = timedelta(days=2)
"""How long work waits after the first rejection: a day for a person to grant, and a day for the token."""

GRANT_RETRY = Backoff(timedelta(minutes=1), timedelta(minutes=15))

WAITS_FOR_GRANT = (
    "The app lacks a permission, or its token is older than the grant. A grant counts within a day; "
    "it is tried again until then, and a restart does not help"
)


def is_denial(status: int) -> bool:
    """Whether a status of Graph says that the token lacks a permission."""
    return status in (401, 403)


def concerns_everybody(answers: Iterable[WriteResult]) -> bool:
    """Whether the app lacks the permission. One user among others may be protected from it
    (learn.microsoft.com/entra/identity/role-based-access-control/admin-units-restricted-management)."""
    definite = [each for each in answers if isinstance(each, Accepted | Rejected)]
    return bool(definite) and all(isinstance(each, Rejected) and is_denial(each.status) for each in definite)


def after_denial(denied: Mapping[Right, float], right: Right, now: float) -> Mapping[Right, float]:
    """When each permission was first missing, after a rejection. The first time stays until a write is accepted."""
    return denied if right in denied else {**denied, right: now}


def waits_until(denied: Mapping[Right, float], right: Right) -> datetime | None:
    """Until when a rejection is waited for; None if the permission is not known to be missing."""
    since = denied.get(right)
    return None if since is None else datetime.fromtimestamp(since, UTC) + GRANT_WAIT


def retry_at(first_sent_at: datetime | None, now: datetime) -> datetime:
    """When the work is tried again."""
    return now + GRANT_RETRY.after(now - (first_sent_at or now))
