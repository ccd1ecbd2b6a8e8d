"""Records for people to read: member status, audit entries, dead letters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from shared.domain.assignment import Engine
from shared.domain.ids import GroupId, OperationId, SkuId, UserId
from shared.domain.initiator import Initiator
from shared.domain.member_status import MemberState
from shared.domain.outcomes import Problem


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Graph's answer when Microsoft's licensing was asked to process one member again. `text`: the reason that blocks
    it, whole; empty if Graph gave none."""

    text: str
    at: datetime


class ShownMember(NamedTuple):
    """The content of a member's row that is compared. `sku_ids`: the licenses that it lists, sorted; `None` in a row
    of version 0.1.
    """

    state: MemberState
    sku_ids: tuple[SkuId, ...] | None


@dataclass(frozen=True, slots=True)
class MemberRow:
    """The status of one (group, user). `next_check_at` is set while work on the user continues automatically."""

    group_id: GroupId
    user_id: UserId
    user_principal_name: str
    display_name: str
    state: MemberState
    updated_at: datetime
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    sku_ids: tuple[SkuId, ...] = ()
    """SKUs the group grants that the user has."""
    attempts: int = 0
    next_check_at: datetime | None = None
    waiting_since: datetime | None = None
    removal_at: datetime | None = None
    """When the grace of a license that came from the group ends."""
    operation_id: OperationId | None = None
    left: bool = False
    """The user is no longer in the group."""
    engine: Engine = Engine.DIRECT
    diagnosis: Diagnosis | None = None
    """Of a member of a watched group, as long as the member has an error."""
    since: datetime | None = field(default=None, compare=False)
    """Since when the member has the state; set when the row is written, unless Graph says it."""


def following(before: MemberRow | None, row: MemberRow) -> MemberRow:
    """The row with what it keeps of the one before: since when the state lasts, and the diagnosis of an error."""
    if before is None or before.state is not row.state:
        return row
    since = before.since if row.since is None else row.since
    keeps = row.diagnosis is None and row.state.needs_a_person and before.problems == row.problems
    return replace(row, since=since, diagnosis=before.diagnosis if keeps else row.diagnosis)


@dataclass(frozen=True, slots=True)
class MemberFilter:
    """Which members to show; empty fields let everybody pass. `text`: what a name or sign-in name begins with."""

    text: str = ""
    error: str = ""
    sku_id: str = ""

    @property
    def is_set(self) -> bool:
        return bool(self.text or self.error or self.sku_id)

    def lets_pass(self, row: MemberRow) -> bool:
        """Whether the row has such a problem; the name is not checked."""
        if not self.error and not self.sku_id:
            return True
        return any(
            self.error in ("", problem.error) and self.sku_id in ("", problem.sku_id) for problem in row.problems
        )


EVERYBODY = MemberFilter()


class AuditResult(StrEnum):
    """The results of an act, as in Entra's audit log."""

    SUCCESS = "success"
    FAILURE = "failure"

    @classmethod
    def _missing_(cls, value: object) -> AuditResult:
        """Whatever is not said to have succeeded has failed."""
        return cls.FAILURE


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to whom, with what result. `id` is deterministic (for a license change: the intent's id)."""

    id: str
    at: datetime
    activity: str
    initiator: Initiator
    result: str
    user_id: UserId | None = None
    group_id: GroupId | None = None
    operation_id: OperationId | None = None
    before: str = ""
    after: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ReplayedMessage:
    """The body of a dead letter that a person replayed, and what the person sent instead if it was corrected."""

    original: bytes
    corrected: bytes | None = None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries to show; empty fields let everything pass. `initiator`: part of a name or id, in any case."""

    user_id: str = ""
    group_id: str = ""
    initiator: str = ""
    activity: str = ""

    def lets_pass(self, entry: AuditEntry) -> bool:
        return (
            (not self.user_id or entry.user_id == self.user_id)
            and (not self.group_id or entry.group_id == self.group_id)
            and any(self.initiator.casefold() in name.casefold() for name in entry.initiator.names)
            and self.activity.casefold() in entry.activity.casefold()
        )


class DeadLetterKind(StrEnum):
    """Why a message was kept."""

    UNREADABLE = "unreadable"
    """It is not what its queue carries, or its request is wrong."""
    GIVEN_UP = "givenUp"
    """It was tried too often."""
    TOO_LARGE = "tooLarge"
    """It cannot be sent again."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be read or done, kept with its reason. `whole`: nothing of its body was cut off. The id
    begins with the time, as an operation's does, so it is the letter's place in the list."""

    id: str
    queue: str
    body: bytes
    reason: str
    at: datetime
    whole: bool = True
    kind: DeadLetterKind = DeadLetterKind.GIVEN_UP
