"""Stores of HR onboarding: events and their records, HR state, profiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from shared.domain.hr_groups import FormerUse, UnitGroups
from shared.domain.hr_state import HrState
from shared.domain.ids import UserId
from shared.domain.onboarding import OnboardingRecord
from shared.domain.profile_changes import Proposal
from shared.domain.profiles import Profile


class OnboardingStore(Protocol):
    """HR events and their results. Rows decide; messages only say which row to read."""

    async def insert(self, records: Sequence[OnboardingRecord]) -> Sequence[OnboardingRecord]:
        """Each record as stored: a new one, or the existing one with its key. `next_at` is when it is processed
        automatically, also without a message for it."""
        ...

    async def get(self, key: str) -> OnboardingRecord | None: ...

    async def save(self, record: OnboardingRecord) -> OnboardingRecord:
        """Replace if unchanged since read, and have it processed again at its `next_at`. Raises Conflict."""
        ...

    async def know(self, key: str, identities: Iterable[str]) -> None:
        """Have the record found under more names of its person."""
        ...

    async def of_person(self, identities: Iterable[str]) -> tuple[OnboardingRecord, ...]:
        """All records found under any of the names."""
        ...

    async def newest(self, top: int, after: str | None = None) -> tuple[tuple[OnboardingRecord, ...], str | None]:
        """Newest first, at most `top`, and a token for the next page."""
        ...

    async def attention(self, top: int, after: str | None = None) -> tuple[tuple[OnboardingRecord, ...], str | None]:
        """Those that need a person, in the order of their keys."""
        ...

    async def count_attention(self, most: int) -> int:
        """How many need a person, at most `most`. One that has just been decided can still count."""
        ...

    async def erase(self, record: OnboardingRecord) -> None:
        """Delete a record that has ended, and every name by which it is found."""
        ...

    async def forget(self, received_before: datetime, top: int) -> int:
        """Delete records of events that came before a time and have ended, oldest first, reading `top` at most. Returns
        how many. The HR state of people stays."""
        ...

    async def ended(self, before: datetime, top: int) -> tuple[tuple[datetime, str], ...]:
        """When and which records ended before a time, oldest first, at most `top`; also those that were begun again."""
        ...

    async def check_ended_again(self, entries: Iterable[tuple[datetime, str]]) -> None:
        """Have `ended` name records under other times; to be called before `ended_checked`."""
        ...

    async def ended_checked(self, entries: Iterable[tuple[datetime, str]]) -> None:
        """Take entries off the list of ended events."""
        ...

    async def forget_content(self, record: OnboardingRecord, kept: OnboardingRecord) -> OnboardingRecord:
        """Replace a record by what is kept of it if unchanged since read, and forget the names by which it is found,
        but for the account's ID. Raises Conflict."""
        ...

    async def due(self, now: datetime, top: int) -> tuple[tuple[datetime, str], ...]:
        """When and which records have fallen due, oldest first, at most `top`."""
        ...

    async def scheduled(self, until: datetime) -> tuple[str, ...]:
        """Keys of all records that fall due up to a time, the next ones first."""
        ...

    async def check_again(self, entries: Iterable[tuple[datetime, str]]) -> None:
        """Have records fall due again, a little after these times; to be called before `checked`."""
        ...

    async def checked(self, entries: Iterable[tuple[datetime, str]]) -> None:
        """Take entries off the list of due events."""
        ...


class HrStateStore(Protocol):
    async def of_users(self, user_ids: Sequence[UserId]) -> Mapping[UserId, HrState]:
        """One per id; an empty one with version None where there is none."""
        ...

    async def save(self, state: HrState) -> HrState:
        """Insert (version None) or replace if unchanged. Raises Conflict."""
        ...


class ProfileStore(Protocol):
    async def all(self, max_age_s: float = 0.0) -> tuple[Profile, ...]:
        """An answer of the last `max_age_s` seconds may be given again."""
        ...

    async def save(self, profile: Profile) -> Profile:
        """Insert (version None) or replace if unchanged. Raises Conflict."""
        ...

    async def remove(self, profile: Profile) -> None:
        """Delete it if unchanged. Raises Conflict, NotFound."""
        ...

    async def proposals(self) -> tuple[Proposal, ...]:
        """Versions that wait for an approval, those that have expired included."""
        ...

    async def propose(self, proposal: Proposal) -> Proposal:
        """Keep it in the place of an earlier one of the same profile."""
        ...

    async def withdraw(self, proposal: Proposal) -> None:
        """Forget a proposal if it was not replaced. Raises Conflict, NotFound."""
        ...

    async def unit_groups(self) -> UnitGroups:
        """Groups of administrative units, as last read."""
        ...

    async def keep_unit_groups(self, found: UnitGroups) -> None: ...

    async def former_use(self) -> FormerUse | None:
        """Groups and senders of HR when this version first ran; None if they have not been read yet."""
        ...

    async def keep_former_use(self, found: FormerUse) -> FormerUse:
        """Insert it, or return what is stored already: it is never changed."""
        ...
