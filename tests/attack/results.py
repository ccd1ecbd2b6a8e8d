"""What became of each attempt, and the counts by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from threading import Lock

from rich.table import Table

from tests.attack.asking import Answer

KEPT = 1000
"""Wrong attempts that are named."""

NO_ENTRY = (401, 403)


@dataclass
class Results:
    """Counts of attempts. An attempt that must be denied is right if it was; one that must pass, if it did."""

    attempts: Counter[str] = field(default_factory=Counter)
    denied: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def must_deny(self, kind: str, name: str, answer: Answer, status: int | Collection[int], code: str = "") -> None:
        """The attempt must be answered by this status, and by this code if one is given."""
        allowed = (status,) if isinstance(status, int) else status
        right = answer.status in allowed and code in ("", answer.code)
        self._note(kind, name, right, True, f"{answer} instead of {'/'.join(map(str, allowed))} {code}")

    def must_pass(self, kind: str, name: str, answer: Answer) -> None:
        """The attempt is allowed: the caller is let in, whatever the route makes of an id that does not exist."""
        right = answer.status not in NO_ENTRY and answer.status != 429 and answer.status < 500
        self._note(kind, name, right, False, f"{answer} instead of being let in")

    def must(self, kind: str, name: str, right: bool, got: object, *, denial: bool = True) -> None:
        """Something seen from outside must be so. `denial`: that it is so means that an attempt failed."""
        self._note(kind, name, right, denial, str(got)[:300])

    def _note(self, kind: str, name: str, right: bool, denial: bool, got: str) -> None:
        with self._lock:
            self.attempts[kind] += 1
            if right:
                (self.denied if denial else self.passed)[kind] += 1
            else:
                self.wrong.setdefault(kind, []).append(f"{name}: {got}")

    @property
    def faults(self) -> list[str]:
        """Every wrong attempt by kind and name."""
        return [f"{kind}: {name}" for kind, names in self.wrong.items() for name in names][:KEPT]

    def table(self) -> Table:
        table = Table(title="Attempts, and how they ended")
        table.add_column("kind")
        for column in ("attempts", "denied as expected", "allowed as expected", "wrong"):
            table.add_column(column, justify="right")
        for kind, n in self.attempts.items():
            counts = (n, self.denied[kind], self.passed[kind], len(self.wrong.get(kind, ())))
            table.add_row(kind, *(f"{each:,}" for each in counts))
        total = (self.attempts, self.denied, self.passed)
        wrong = sum(map(len, self.wrong.values()))
        table.add_row("all", *(f"{each.total():,}" for each in total), f"{wrong:,}", end_section=True)
        return table
