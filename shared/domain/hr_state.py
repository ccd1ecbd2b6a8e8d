"""The HR state of a person, employment by employment, and which of two statements is the newer one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from shared.domain.grant import Grant
from shared.domain.ids import GroupId, UserId


@dataclass(frozen=True, slots=True)
class Stamp:
    """Where a statement stands among others. `place`: in the configured order of its source, as a text that sorts."""

    source: str
    place: str
    received_at: datetime

    def is_newer_than(self, other: Stamp) -> bool:
        """By the order of their source; by arrival for statements of two sources, or if the order was changed."""
        if self._comparable(other) and self.place != other.place:
            return self.place > other.place
        return not self.is_tied_with(other) and self.received_at > other.received_at

    def is_tied_with(self, other: Stamp) -> bool:
        """Whether the source gives both the same place; never so in the order of arrival."""
        return self._comparable(other) and self.place == other.place and not self.place.endswith(":")

    def _comparable(self, other: Stamp) -> bool:
        return self.source == other.source and self.place.partition(":")[0] == other.place.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that was carried out. `day`: its effective date in the time zone of its source."""

    key: str
    day: date
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Employment:
    """The HR state of one employment.

    `groups`: groups to which HR added the person. `was_in`: groups of HR in which the person was before. `profiles`:
    profiles whose grants the person has. `start`, `job`, `end`: the newest statements that were carried out; `job` is a
    start or a move. `continued`: a job was in force when `job` was carried out.
    """

    groups: frozenset[GroupId] = frozenset()
    was_in: frozenset[GroupId] = frozenset()
    profiles: frozenset[str] = frozenset()
    start: Statement | None = None
    job: Statement | None = None
    end: Statement | None = None
    continued: bool = False

    @property
    def in_force(self) -> bool:
        return self.job is not None and self.end is None

    def had_a_job_before(self, key: str) -> bool:
        """Whether a job was in force before this statement, also when the statement is carried out again."""
        return self.continued if self.job is not None and self.job.key == key else self.in_force


NO_EMPLOYMENT = Employment()


@dataclass(frozen=True, slots=True)
class HrState:
    """The HR state of a person. `version` is the ETag of the stored row, None if there is none yet."""

    user_id: UserId
    employments: Mapping[str, Employment] = field(default_factory=dict)
    version: str | None = None

    def of(self, employment: str) -> Employment:
        return self.employments.get(employment, NO_EMPLOYMENT)

    def others(self, employment: str) -> list[Employment]:
        """The person's other employments that are in force."""
        return [each for name, each in self.employments.items() if name != employment and each.in_force]

    def groups_of_others(self, employment: str) -> frozenset[GroupId]:
        return frozenset[GroupId]().union(*(each.groups for each in self.others(employment)))

    def profiles_of_others(self, employment: str) -> frozenset[str]:
        return frozenset[str]().union(*(each.profiles for each in self.others(employment)))

    def having(self, name: str, employment: Employment) -> HrState:
        """The state with one employment changed."""
        return replace(self, employments={**self.employments, name: employment})


@dataclass(frozen=True, slots=True)
class Taken:
    """The former state of a leaver: the employment, and the grants of HR that ended with it."""

    employment: Employment
    grants: tuple[Grant, ...] = ()
