"""Dead letters: which ones are wanted, and one act on all of those."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared.domain.initiator import Initiator
from shared.domain.read_models import DeadLetter


@dataclass(frozen=True, slots=True)
class DeadLetterSelection:
    """Which dead letters are wanted; empty fields let everything pass. `text`: part of the reason or of the message, in
    any case. `since` and `until`: when they were kept."""

    queue: str = ""
    kind: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def lets_pass(self, dead_letter: DeadLetter) -> bool:
        wanted = self.text.casefold()
        return (
            self.queue in ("", dead_letter.queue)
            and self.kind in ("", dead_letter.kind)
            and (self.since is None or dead_letter.at >= self.since)
            and (self.until is None or dead_letter.at < self.until)
            and (
                wanted in dead_letter.reason.casefold()
                or wanted in dead_letter.body.decode("utf-8", "replace").casefold()
            )
        )


EVERY_DEAD_LETTER = DeadLetterSelection()


class BulkKind(StrEnum):
    """The action on all dead letters of a filter."""

    REPLAY = "replay"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class BulkAct:
    """One action on all dead letters that match a filter, and its progress.

    It processes them from the newest to the oldest. `doing`: ids of the letters of the current step, stored before
    anything is done to them. A repeated step processes those that still exist, so each is counted once. `after`: the
    position in the list behind them, None at its end. `left`: letters that cannot be replayed, because only their
    beginning was kept.
    """

    id: str
    kind: BulkKind
    wanted: DeadLetterSelection
    initiator: Initiator
    created_at: datetime
    progress_at: datetime
    step: int = 0
    doing: tuple[str, ...] = ()
    after: str | None = ""
    done: int = 0
    left: int = 0
    completed_at: datetime | None = None
    version: str | None = None

    @property
    def is_open(self) -> bool:
        return self.completed_at is None

    def began_step(self, doing: tuple[str, ...], after: str | None) -> BulkAct:
        """With the letters that the step is about to do."""
        return replace(self, doing=doing, after=after)

    def ended_step(self, left: int, now: datetime) -> BulkAct:
        """When each letter of the step is done, or left."""
        return replace(
            self,
            step=self.step + 1,
            doing=(),
            done=self.done + len(self.doing) - left,
            left=self.left + left,
            progress_at=now,
            completed_at=now if self.after is None else None,
        )
