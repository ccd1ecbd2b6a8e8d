"""Who can approve a request: a person other than the requester, unless the tenant has only one administrator.

The rule applies if many people, or a protected person, would lose licenses. A request without a requester needs one
approver, or two different ones for a protected person.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.operation import Operation

ALONE_AFTER = timedelta(hours=24)
"""In a tenant with SINGLE_APPROVER, requesters can approve their own requests after this time. It leaves time to read
the alert about the request."""

EXPIRES_AFTER = timedelta(days=30)
"""How long an approval waits for a person unless the settings say otherwise. After that it counts as rejected."""


def has_expired(counts_from: datetime, now: datetime, lasts: timedelta) -> bool:
    """Whether an approval that was not carried out in time must be requested again, as after writing was off. An old
    approval may not be wanted any more.
    """
    return now - counts_from >= lasts


class Approver(StrEnum):
    """The role of a person in a request. `ALONE` approves with an alert and a note in the audit entry."""

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
    """The role of the person in the request. Ids are object ids of people, compared without regard to case.

    `requester_id`: None if no person requested it, as for a timer or HR; then anyone with the role is another person.
    Raises ValueError for an approver without an id, because the audit log could not name the approver.
    """
    if not approver_id:
        raise ValueError("an approver must have an object id")
    if requester_id is None or approver_id.casefold() != requester_id.casefold():
        return Approver.ANOTHER
    if not single_approver:
        return Approver.REQUESTER
    return Approver.ALONE if now - requested_at >= ALONE_AFTER else Approver.TOO_EARLY


@dataclass(frozen=True, slots=True)
class Given:
    """An approval that was given: by whom (object id), and when."""

    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Request:
    """A request that needs approval. `requester_id`: None if no person requested it. `people`: the number of people
    that lose something. `protected`: whether one of them is protected. `given`: approvals so far, oldest first.
    `before`: people of the requester's other requests that the requester approved in the last 24 hours."""

    requester_id: str | None
    requested_at: datetime
    people: int
    protected: bool
    given: Sequence[Given] = ()
    before: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """`threshold`: people in 24 hours up to which a person can approve their own requests. `single_approver`: see
    `approver`."""

    threshold: int = 50
    single_approver: bool = False


def denial(found: Approver, request: Request) -> str:
    """Why a person cannot approve the request, and who can."""
    whose = "requested" if request.requester_id else "already approved"
    why = f"{request.people:,} people would lose some"
    if request.protected:
        why = "a protected person would lose licenses"
    elif request.before:
        why = f"{why}, after {request.before:,} whose removals you approved yourself in the last 24 hours"
    text = f"You {whose} this, and {why}: another person with the role Licensing.Approve must approve it."
    since = request.requested_at if request.requester_id or not request.given else request.given[-1].at
    return text + alone_from(found, since)


def alone_from(found: Approver, since: datetime) -> str:
    """When a single approver can approve, as the end of a denial; empty if that is not why it was denied."""
    if found is not Approver.TOO_EARLY:
        return ""
    return f" As the single approver you can approve it from {since + ALONE_AFTER:%Y-%m-%d %H:%M} UTC."


@dataclass(frozen=True, slots=True)
class Ruling:
    """The role of a person in the request, and whether this person's approval is the last one that it needs."""

    approver: Approver
    enough: bool


def request_of(operation: Operation, behind: Collection[str] = (), person_id: str = "") -> Request:
    """The request for approval of an operation whose plan is known. `behind`: people whose requests have brought it
    about, if the app asks; to one of them, `person_id`, it is the person's own request."""
    initiator = operation.initiator
    requester = initiator.person_id
    if requester is None and behind:
        requester = person_id if person_id in behind else min(behind)
    given = [Given(each.by.id, each.at) for each in operation.approvals]
    plan = operation.plan
    return Request(requester, operation.created_at, plan.users_losing, bool(plan.protected), given)


def needs_another(request: Request, rules: Rules) -> bool:
    """Whether the person who made the request cannot approve it alone."""
    too_many = request.people + request.before > rules.threshold
    return request.requester_id is not None and (request.protected or too_many)


def approvals_needed(request: Request) -> int:
    """How many approvals the request needs in all."""
    return 2 if request.requester_id is None and request.protected else 1


def ruling(approver_id: str, request: Request, now: datetime, rules: Rules) -> Ruling:
    """Whether a person can approve the request now. Raises ValueError for an approver without an id."""
    earlier = [Given(request.requester_id, request.requested_at)] if request.requester_id else list(request.given[-1:])
    if request.requester_id and not needs_another(request, rules):
        earlier = []
    found = [
        approver(approver_id, each.by, each.at, now, single_approver=rules.single_approver) for each in earlier
    ] or [approver(approver_id, None, request.requested_at, now, single_approver=rules.single_approver)]
    enough = found[0].may_approve and len(request.given) + 1 >= approvals_needed(request)
    return Ruling(found[0], enough)
