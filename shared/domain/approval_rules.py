"""Who may approve what somebody requested: another person, unless the tenant has one administrator only."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

ALONE_AFTER = timedelta(hours=24)
"""How long a request must be known before the person who made it can approve it, in a tenant with SINGLE_APPROVER: an
alert about it has time to be read."""

EXPIRES_AFTER = timedelta(days=30)
"""How long an approval waits for a person. After that it counts as rejected."""


class Approver(StrEnum):
    """What a person is to a request. `ALONE` is approved with an alert and a note in the audit entry."""

    ANOTHER = "another person"
    ALONE = "single approver"
    TOO_EARLY = "single approver, too early"
    REQUESTER = "requester"

    @property
    def may_approve(self) -> bool:
        return self in (Approver.ANOTHER, Approver.ALONE)


def approver(
    approver_id: str, requester_id: str | None, requested_at: datetime, now: datetime, *, single_approver: bool
) -> Approver:
    """What the person is to the request. Ids are object ids of people, compared without regard to case.

    `requester_id`: None if no person requested it, as for a timer or HR; then anyone with the role is another person.
    Raises ValueError for an approver without an id, because nobody could say who approved.
    """
    if not approver_id:
        raise ValueError("an approver must have an object id")
    if requester_id is None or approver_id.casefold() != requester_id.casefold():
        return Approver.ANOTHER
    if not single_approver:
        return Approver.REQUESTER
    return Approver.ALONE if now - requested_at >= ALONE_AFTER else Approver.TOO_EARLY
