"""The store of dead letters, and of acts on many of them."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from shared.domain.dead_letters import EVERY_DEAD_LETTER, BulkAct, DeadLetterSelection
from shared.domain.read_models import DeadLetter


class DeadLetterStore(Protocol):
    async def keep(self, dead_letter: DeadLetter) -> None: ...

    async def get(self, dead_letter_id: str) -> DeadLetter | None: ...

    async def remove(self, dead_letter_id: str) -> None:
        """A letter that is not there is no error."""
        ...

    async def page(
        self, top: int, after: str | None = None, wanted: DeadLetterSelection = EVERY_DEAD_LETTER
    ) -> tuple[tuple[DeadLetter, ...], str | None]:
        """At most `top` that the filter lets pass, newest first, and what to go on `after`, None at the end. Fewer can
        come although more follow, where few of very many pass. Raises BadRequest for an `after` that is no key."""
        ...

    async def count(self, max_age_s: float = 0.0) -> int:
        """How many there are, up to 100,000; a number of the last `max_age_s` seconds may be given again."""
        ...

    async def forget(self, kept_before: datetime) -> int:
        """Delete letters kept before a time; returns how many."""
        ...

    async def begin(self, act: BulkAct) -> BulkAct:
        """Store a new act. Raises Conflict."""
        ...

    async def save_act(self, act: BulkAct) -> BulkAct:
        """Replace if unchanged. Raises Conflict."""
        ...

    async def act(self, act_id: str) -> BulkAct | None: ...

    async def acts(self, top: int, after: str | None = None) -> tuple[tuple[BulkAct, ...], str | None]:
        """Newest first."""
        ...

    async def open_acts(self) -> tuple[BulkAct, ...]: ...
