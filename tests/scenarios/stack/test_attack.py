"""A short part of `make attack`: every route, and each kind of attempt, against a running stack."""

from __future__ import annotations

from tests.attack.arena import Bar
from tests.attack.running import KINDS, attack


def test_no_attempt_of_an_attacker_succeeds_and_no_caller_is_kept_out_by_mistake() -> None:
    results = attack(every=61, short=True, bar=Bar())
    assert results.faults == []
    assert results.attempts.total() > 500
    assert sum(kind.short for kind in KINDS) > 10
