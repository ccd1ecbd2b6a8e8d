"""A grant: a reason for a user to have a SKU, and the source it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from shared.domain.ids import Plans, SkuId


class SourceKind(StrEnum):
    """Where a grant comes from."""

    GROUP = "group"
    LIST = "list"
    HR = "hr"
    KEPT = "kept"
    HELD = "held"
    GRACE = "grace"
    JOINED = "joined"


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """The origin of a grant: its kind, and the group, event or person behind it."""

    kind: SourceKind
    id: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}" if self.id else str(self.kind)

    @classmethod
    def parse(cls, text: str) -> Self:
        kind, _, rest = text.partition(":")
        return cls(SourceKind(kind), rest)


@dataclass(frozen=True, slots=True)
class Grant:
    """A reason for a user to have a SKU. A plan is off for the user only where every grant disables it.

    `adds` False: what the user has stays, but nothing is given (an assignment whose operation was cancelled).
    """

    sku_id: SkuId
    disabled_plans: Plans
    source: Source
    until: datetime | None = None
    adds: bool = True

    def holds_at(self, now: datetime) -> bool:
        return self.until is None or now < self.until
