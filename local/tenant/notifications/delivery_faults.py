"""Faults of notifications on demand: lost, duplicate, late, out of order, forged.

The same seed gives the same faults for the same notifications.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from local.tenant.notifications.payloads import forged

_SHARES = ("drop", "duplicate", "reorder", "forge")


class Copy(NamedTuple):
    """One notification to be sent after some seconds; `late` ones are overtaken on purpose."""

    delay: float
    body: dict[str, Any]
    late: bool
    is_double: bool
    is_forged: bool


@dataclass(slots=True)
class DeliveryFaults:
    """Shares from 0 to 1 of notifications that are dropped, sent twice, overtaken, or accompanied by a forged one."""

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    forge: float = 0.0
    delay_seconds: tuple[float, float] = (0.0, 0.0)
    """Least and longest wait of each notification before it is sent."""
    reorder_seconds: float = 1.0
    """The extra wait of a notification that will be overtaken."""
    seed: int = 0
    _chance: random.Random = field(default_factory=lambda: random.Random(0), repr=False)

    def patch(self, changes: dict[str, Any]) -> None:
        """Apply JSON changes and restart the seed. ValueError names the fault, and nothing is changed."""
        taken: dict[str, Any] = {}
        for key, value in changes.items():
            match key:
                case "drop" | "duplicate" | "reorder" | "forge" if _is_number(value) and 0 <= value <= 1:
                    taken[key] = float(value)
                case "delaySeconds" if _is_range(value):
                    taken["delay_seconds"] = (float(value[0]), float(value[1]))
                case "reorderSeconds" if _is_number(value) and value >= 0:
                    taken["reorder_seconds"] = float(value)
                case "seed" if isinstance(value, int) and not isinstance(value, bool):
                    taken["seed"] = value
                case _:
                    raise ValueError(
                        f"delivery fault {key!r} cannot be {value!r}: {', '.join(_SHARES)} are shares from 0 to 1, "
                        "delaySeconds is [least, longest], reorderSeconds at least 0, seed a whole number"
                    )
        for name, value in taken.items():
            setattr(self, name, value)
        self._chance = random.Random(self.seed)

    def as_json(self) -> dict[str, Any]:
        """All faults under their JSON names."""
        shown = {name: getattr(self, name) for name in (*_SHARES, "seed")}
        return {**shown, "delaySeconds": self.delay_seconds, "reorderSeconds": self.reorder_seconds}

    def copies(self, body: dict[str, Any]) -> list[Copy]:
        """The copies that are sent instead of a notification; none if it is lost."""
        chance = self._chance
        lost, doubled, forgery = (chance.random() < share for share in (self.drop, self.duplicate, self.forge))
        found = [] if lost else [self._copy(body, is_double=number > 0) for number in range(2 if doubled else 1)]
        if forgery:
            found.append(Copy(chance.uniform(*self.delay_seconds), forged(body, chance), False, False, True))
        return found

    def _copy(self, body: dict[str, Any], *, is_double: bool) -> Copy:
        late = self._chance.random() < self.reorder
        delay = self._chance.uniform(*self.delay_seconds) + (self.reorder_seconds if late else 0.0)
        return Copy(delay, body, late, is_double, False)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_range(value: Any) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(map(_is_number, value)):
        return False
    return bool(0 <= value[0] <= value[1])
