"""The app's own health, as kept between runs of its processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.canary import Canary


@dataclass(frozen=True, slots=True)
class HealthRecord:
    """`synced_at`: when the nightly sync last requested its syncs; None before the first one. `first_day_done_at`: when
    every step of the first day was first seen done; the checklist is not shown after that."""

    synced_at: datetime | None = None
    canary: Canary = field(default_factory=Canary)
    first_day_done_at: datetime | None = None
