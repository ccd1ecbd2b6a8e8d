"""Requests of the first-contact check, and the store of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from shared.domain.first_contact import Answer, Run, Subject


class Probes(Protocol):
    async def ask(self, name: str, subject: Subject) -> Answer:
        """Send the request of this name once. Any status is an answer; status 0: there was none, or the outcome is not
        known. Raises KeyError for an unknown name."""
        ...

    def path_of(self, link: str) -> str:
        """Path and query of a link in an answer. Raises Unavailable for a link to another host."""
        ...


class FirstContactStore(Protocol):
    async def create(self, run: Run) -> None:
        """Raises Conflict if the run exists."""
        ...

    async def get(self, run_id: str) -> Run | None: ...

    async def load(self, run_id: str) -> tuple[Run, str]:
        """A run with its version. Raises NotFound."""
        ...

    async def save(self, run: Run, version: str) -> str:
        """Returns the new version. Raises Conflict if another process has saved it since."""
        ...

    async def open(self) -> Sequence[str]:
        """IDs of open runs, oldest first. One whose run is missing was being created when the process ended."""
        ...

    async def close(self, run_id: str) -> None:
        """Forget that a run is open. Saving an ended run does this too."""
        ...

    async def page(self, top: int, after: str | None) -> tuple[Sequence[Run], str | None]:
        """Runs, newest first, from after a place, and the place to go on from. Raises BadRequest for a wrong place."""
        ...

    async def newest(self, top: int) -> Sequence[Run]:
        """The latest runs, newest first."""
        ...

    async def delete_before(self, oldest: str) -> int:
        """Delete runs whose ID is older; IDs begin with the time. Returns how many."""
        ...

    async def users_in_use(self, max_age_s: float) -> frozenset[str]:
        """Test users of open runs, as they were at most so many seconds ago."""
        ...
