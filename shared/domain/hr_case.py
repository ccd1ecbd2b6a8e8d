"""One HR statement with everything that is known of its employment, and what can become of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.hr_state import Employment, Statement
from shared.domain.onboarding import HrEventType, OnboardingRecord, OnboardingState, SourceOrder
from shared.domain.onboarding_ends import End


class Turn(StrEnum):
    """What becomes of a statement among the others. `FORMER`: it ends an employment before the one in force."""

    NOW = "now"
    AFTER = "after"
    SUPERSEDED = "superseded"
    ASK = "ask"
    FORMER = "former"


@dataclass(frozen=True, slots=True)
class Judgement:
    """`employment`: which one the statement is about. `other`: the statement that decides, which waits for a person if
    `needs_answer`. `question`: for a person.

    `replaces`: statements that this one ends whatever its date. `supersedes`: those that it ends when it is carried
    out. `asks`: those about which a person is asked too. `revives`: those that count again because of this one.
    `alone`: no other employment keeps licenses of the person. `on_its_day`: a job is in force until then, so no lead
    time. `is_unknown`: of an end, nothing is known of its employment, and the person has another one.
    """

    turn: Turn
    employment: str = ""
    other: str = ""
    question: End | None = None
    replaces: tuple[OnboardingRecord, ...] = ()
    supersedes: tuple[OnboardingRecord, ...] = ()
    asks: tuple[OnboardingRecord, ...] = ()
    revives: tuple[OnboardingRecord, ...] = ()
    needs_answer: bool = False
    alone: bool = True
    on_its_day: bool = False
    is_unknown: bool = False


def waits_for(rescission: OnboardingRecord, leaver: OnboardingRecord, leavers: Iterable[OnboardingRecord]) -> bool:
    """Whether a rescission that came before its leaver waits for this one. In the order of arrival, that is the first
    one that came after it, also if that one counts no more."""
    if rescission.event.order is not SourceOrder.ARRIVAL or rescission.state.is_ended:
        return False
    after = [each for each in leavers if rescission.received_at < each.received_at < leaver.received_at]
    return not after and rescission.received_at < leaver.received_at


@dataclass(frozen=True, slots=True)
class Case:
    """One statement with everything that is known of its employment."""

    record: OnboardingRecord
    same: Sequence[OnboardingRecord]
    """Statements about the same employment."""
    elsewhere: Sequence[OnboardingRecord]
    """Statements about other employments of the person."""
    name: str
    employment: Employment
    now: datetime
    returning: frozenset[str] = frozenset()
    """Leavers that are cancelled, and give back what they took."""
    superseded: Sequence[OnboardingRecord] = ()
    """Statements about the same employment that count no more."""

    @property
    def decided(self) -> bool:
        return bool(self.record.decided_by)

    def is_newer(self, other: OnboardingRecord | Statement) -> bool:
        """Whether the other one is the newer one."""
        return other.stamp.is_newer_than(self.record.stamp)

    def of(self, kind: HrEventType) -> list[OnboardingRecord]:
        return [each for each in self.same if each.event.type is kind]

    def open(self, kind: HrEventType) -> list[OnboardingRecord]:
        return [each for each in self.of(kind) if not each.state.is_ended]

    def has_come(self, other: OnboardingRecord) -> bool:
        return other.event.effective_at <= self.now

    def is_former(self, leaver: OnboardingRecord) -> bool:
        """Whether a leaver ended an employment before the one in force."""
        start = self.employment.start
        return self.employment.in_force and start is not None and leaver.event.day < start.day

    def has_begun(self, other: OnboardingRecord) -> bool:
        """Whether memberships of a start or a move were written: it is brought to its end."""
        job = self.employment.job
        return job is not None and job.key == other.key

    def calls_off(self, leaver: Statement, start: OnboardingRecord) -> bool:
        """Whether a newer leaver ends an employment before it began. Both must name it; otherwise the leaver can be
        about the employment before."""
        is_before = leaver.day < start.event.day and leaver.stamp.is_newer_than(start.stamp)
        return is_before and bool(start.event.employment_id) and not self.employment.in_force

    def starts_between(self, leaver: Statement, move: OnboardingRecord) -> bool:
        """Whether a start to come is dated after a leaver, and the move is about what it starts. Each of the two then
        concerns another employment."""
        return any(self.separates(each, leaver, move) for each in self.open(HrEventType.JOINER))

    def separates(self, start: OnboardingRecord, leaver: Statement, move: OnboardingRecord) -> bool:
        """Whether a start to come lies between a leaver and a move. Of a person who does not work yet, a move can only
        be about that start."""
        is_of_start = start.event.day <= move.event.day or not self.employment.in_force
        return is_of_start and leaver.day < start.event.day and not self.calls_off(leaver, start)

    def newer_ones(self, *done: Statement | None) -> list[Statement]:
        """Of statements that were carried out, the newer ones."""
        return [each for each in done if each is not None and each.key != self.record.key and self.is_newer(each)]

    def to(
        self, turn: Turn, other: OnboardingRecord | Statement | None = None, question: End | None = None
    ) -> Judgement:
        waits = isinstance(other, OnboardingRecord) and other.state is OnboardingState.NEEDS_DECISION
        return Judgement(turn, self.name, other.key if other else "", question, needs_answer=waits)
