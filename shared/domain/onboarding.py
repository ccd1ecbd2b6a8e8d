"""HR onboarding: an event of an HR system, its record, and what a decision makes of the record.

An event is a CloudEvent (see `hr_events`). Its record is the truth about it, from its arrival to its end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from shared.domain.hr_state import Stamp, Statement, Taken
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.initiator import SYSTEM, Initiator
from shared.domain.operation import Approval
from shared.domain.texts import normal_form


class HrEventType(StrEnum):
    """`type` of the CloudEvent; the version is part of it.

    Each is a statement about one employment: it starts, has this job, or ends; a rescission says that it does not end.
    A release only lets a leaver go on.
    """

    JOINER = "hr.joiner.v1"
    MOVER = "hr.mover.v1"
    LEAVER = "hr.leaver.v1"
    RESCISSION = "hr.leaver.rescission.v1"
    RELEASE = "hr.leaver.release.v1"

    @property
    def names_a_leaver(self) -> bool:
        """Whether the event is about a leaver event, and has no date of its own."""
        return self in (HrEventType.RESCISSION, HrEventType.RELEASE)


class SourceOrder(StrEnum):
    """What says which of two statements of an HR system is the newer one."""

    SEQUENCE = "sequence"
    TIME = "time"
    ARRIVAL = "arrival"


FARTHEST_MESSAGE = timedelta(hours=24)
"""Messages are scheduled for the next day at most; what is later is a row that the timer finds."""


@dataclass(frozen=True, slots=True)
class PersonRef:
    """How an event names a person; at least one is given. `identities` says how they compare."""

    id: UserId | None = None
    employee_id: str = ""
    user_principal_name: str = ""

    @property
    def identities(self) -> tuple[str, ...]:
        """The names in a form to compare by, the surest first."""
        named = (("id", self.id or ""), ("employeeId", self.employee_id), ("upn", self.user_principal_name))
        return tuple(f"{kind}:{normal_form(value)}" for kind, value in named if value)

    def __str__(self) -> str:
        return ", ".join(self.identities)


@dataclass(frozen=True, slots=True)
class Account:
    """An account that a name of HR's fits."""

    id: UserId
    user_principal_name: str
    employee_id: str
    account_enabled: bool
    created_at: datetime | None
    usage_location: str | None

    @property
    def ref(self) -> PersonRef:
        return PersonRef(self.id, self.employee_id, self.user_principal_name)


@dataclass(frozen=True, slots=True)
class HrEvent:
    """One event of HR. `attributes` are Graph's names of user properties, by which profiles match.

    `day`: of `effective_at` in the source's time zone. `order`: as it was configured when the event came.
    """

    id: str
    source: str
    type: HrEventType
    person: PersonRef
    effective_at: datetime
    day: date
    order: SourceOrder = SourceOrder.ARRIVAL
    employment_id: str = ""
    sequence: int | None = None
    time: datetime | None = None
    usage_location: str = ""
    profiles: tuple[str, ...] = ()
    groups: tuple[GroupId, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    previous: Mapping[str, str] = field(default_factory=dict)
    """Attributes before a move, for a person of whom no earlier event was received."""
    removal_after: timedelta | None = None
    removal_on_release: bool = False
    correlation_id: str = ""

    @property
    def key(self) -> str:
        """Source and id make an event unique (github.com/cloudevents/spec, version 1.0.2): 32 hex digits."""
        return event_key(self.source, self.id)

    @property
    def employment(self) -> str:
        """The employment that the event names, or the one of its source that has no name. Sources have no blanks."""
        return f"{self.source} {normal_form(self.employment_id)}" if self.employment_id else self.source

    def can_be_about(self, employment: str) -> bool:
        """Whether it is one of the event's own source: an HR system says nothing about the employments of another."""
        return employment.partition(" ")[0] == self.source


def event_key(source: str, event_id: str) -> str:
    """The key of an event's record: 32 hex digits."""
    return hashlib.sha256(f"{source}\n{event_id}".encode()).hexdigest()[:32]


class OnboardingState(StrEnum):
    """How far an event is."""

    RECEIVED = "Received"
    SCHEDULED = "Scheduled"
    WAITING_FOR_ACCOUNT = "WaitingForAccount"
    WAITING_FOR_EARLIER = "WaitingForEarlierEvent"
    WAITING_FOR_RELEASE = "WaitingForRelease"
    HELD = "Held"
    NEEDS_DECISION = "NeedsDecision"
    WORKING = "Working"
    DONE = "Done"
    DONE_WITH_ERRORS = "DoneWithErrors"
    FAILED = "Failed"
    SUPERSEDED = "Superseded"
    CANCELLED = "Cancelled"

    @property
    def is_ended(self) -> bool:
        return self in _ENDED

    @property
    def is_carried_out(self) -> bool:
        """Whether the work was done, with or without errors."""
        return self in (OnboardingState.DONE, OnboardingState.DONE_WITH_ERRORS)

    @property
    def needs_a_person(self) -> bool:
        """Whether a person has to act: a removal that waits for approval, a statement that HR's other statements
        contradict, or an end that is not what was asked."""
        return self in _ATTENTION


_ENDED = frozenset(
    {
        OnboardingState.DONE,
        OnboardingState.DONE_WITH_ERRORS,
        OnboardingState.FAILED,
        OnboardingState.SUPERSEDED,
        OnboardingState.CANCELLED,
    }
)


_ATTENTION = frozenset(
    {
        OnboardingState.HELD,
        OnboardingState.NEEDS_DECISION,
        OnboardingState.DONE_WITH_ERRORS,
        OnboardingState.FAILED,
    }
)


class GroupOutcome(StrEnum):
    """What became of a membership that an event asked for."""

    ADDED = "Added"
    ALREADY_MEMBER = "AlreadyMember"
    REMOVED = "Removed"
    NOT_A_MEMBER = "NotAMember"
    KEPT = "Kept"
    REJECTED = "Rejected"

    @classmethod
    def _missing_(cls, value: object) -> GroupOutcome | None:
        """Rows of version 0.1 have the former word."""
        return cls.REJECTED if value == "Refused" else None

    @property
    def is_in(self) -> bool:
        return self in (GroupOutcome.ADDED, GroupOutcome.ALREADY_MEMBER)


@dataclass(frozen=True, slots=True)
class GroupResult:
    """A membership, and for one that could not be changed why and what to do."""

    group_id: GroupId
    outcome: GroupOutcome
    text: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a usage location could not be set, and what to do."""

    text: str
    remedy: str


class LicenseOutcome(StrEnum):
    """What became of a license that an event leads to."""

    PENDING = "Pending"
    ASSIGNED = "Assigned"
    WAITING = "WaitingForLicense"
    REMOVED = "Removed"
    KEPT = "Kept"
    ERROR = "Error"

    @classmethod
    def _missing_(cls, value: object) -> LicenseOutcome | None:
        """Rows of version 0.1 have the former word."""
        return cls.WAITING if value == "WaitingForSeat" else None


@dataclass(frozen=True, slots=True)
class LicenseResult:
    """A license, and for one that is not as it should be why and what to do."""

    sku_id: SkuId
    outcome: LicenseOutcome
    text: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class OnboardingRecord:
    """An event and what became of it. `version` is the ETag of the stored row, None where there is none yet.

    `body`: the event as it came, empty once that was deleted. `digest`: of a body that was deleted.
    """

    event: HrEvent
    body: str
    state: OnboardingState
    received_at: datetime
    updated_at: datetime
    sender: Initiator = SYSTEM
    """Who sent the event, with the event's own source as a claim."""
    user_id: UserId | None = None
    next_at: datetime | None = None
    """When it is processed again automatically."""
    waits_since: datetime | None = None
    """When the waiting for the account began again, by a replay."""
    working_since: datetime | None = None
    note: str = ""
    remedy: str = ""
    profiles: tuple[str, ...] = ()
    groups: tuple[GroupResult, ...] = ()
    licenses: tuple[LicenseResult, ...] = ()
    location_rejected: Rejection | None = None
    permitted_by: str = ""
    """Who let a leaver's licenses go: the allowance, or the person who approved."""
    permitted_from: datetime | None = None
    """Of a leaver that people approved: the time of the approval, or its day if that is later. Without `permitted_by`,
    the approval has expired, and only people can permit the leaver."""
    approvals: tuple[Approval, ...] = ()
    """Of a leaver: approvals so far; a protected person needs two."""
    for_protected: bool = False
    """Whether the leaver was permitted by people who knew that the person is protected."""
    taken: Taken | None = None
    """Of a leaver: what is given back when it is cancelled."""
    one_of_several: bool = False
    """Of a leaver: the person has another employment, so only what this one brought goes."""
    cancelled_by: str = ""
    """Who cancelled a leaver that had begun: until what was taken is given back."""
    superseded_by: str = ""
    """The statement that counts instead. If that is cancelled, this one counts again."""
    revived: bool = False
    """Whether the statement that counted instead was cancelled."""
    matched_by: str = ""
    """On what the match of the account rests, if that is a weak name."""
    candidate: UserId | None = None
    """Of a statement that needs a decision: the account that only a weak name fits."""
    decided_by: str = ""
    """Who decided that the statement is carried out."""
    released: bool = False
    announced: bool = False
    """The result was sent to the results queue."""
    completed_at: datetime | None = None
    digest: str = ""
    version: str | None = None
    due_by: datetime | None = field(default=None, compare=False)
    """When the timer finds it at the latest, as it was stored; None: the timer does not know of it."""
    listed: bool = field(default=False, compare=False)
    """Whether it was stored among those that need a person."""

    @property
    def key(self) -> str:
        return self.event.key

    @property
    def fingerprint(self) -> str:
        """The same for a repeat of the event, and another one for another event under the same id."""
        return self.digest or hashlib.sha256(self.body.encode()).hexdigest()

    @property
    def stamp(self) -> Stamp:
        """Where the event stands among those of its source."""
        event = self.event
        match event.order:
            case SourceOrder.SEQUENCE:
                place = f"{event.sequence or 0:016d}"
            case SourceOrder.TIME:
                place = f"{(event.time or self.received_at).astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"
            case SourceOrder.ARRIVAL:
                place = ""
        return Stamp(event.source, f"{event.order}:{place}", self.received_at)

    @property
    def statement(self) -> Statement:
        """What later events are compared with once this one was carried out."""
        return Statement(self.key, self.event.day, self.stamp)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do: it has ended, and its result was sent."""
        return self.state.is_ended and self.announced

    @property
    def is_being_written(self) -> bool:
        """Whether memberships of the event are being written at this moment, or were when their writer died."""
        return self.state is OnboardingState.WORKING and self.working_since is None


@dataclass(frozen=True, slots=True)
class Next:
    """The result of a decision about an event. `record`: its new state; it is resumed at its `next_at`.

    `wake`: events to resume now, even if they are not due. `users`: users to reconcile now, with the groups to which
    each was added (True) or from which it was removed (False).
    """

    record: OnboardingRecord
    wake: tuple[str, ...] = ()
    users: Mapping[UserId, Mapping[GroupId, bool]] = field(default_factory=dict)


def waiting(
    record: OnboardingRecord, state: OnboardingState, now: datetime, at: datetime, note: str = "", remedy: str = ""
) -> OnboardingRecord:
    """The record, rescheduled to a time."""
    return replace(record, state=state, next_at=at, note=note, remedy=remedy, updated_at=now)
