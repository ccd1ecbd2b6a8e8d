"""Write control in regimes that tenants were seen to have, in virtual time; `make bench BENCH_OPTIONS=--only-regimes`
plays all of them for hours."""

from __future__ import annotations

import pytest

from tests.bench.regimes import REGIMES, Regime, measure

SECONDS = 1200.0
SHORT = {"window": 0.95, "width 5, held 0.5 s": 0.93, "bucket, writes cost two": 0.8}
"""The least share of the optimum in twenty minutes, of which learning takes a part."""


@pytest.mark.parametrize("regime", [each for each in REGIMES if each.name in SHORT], ids=lambda each: str(each.name))
def test_a_regime_is_used_nearly_as_well_as_by_who_knows_it(regime: Regime) -> None:
    found = measure(regime, SECONDS)
    assert (found.errors, found.share >= SHORT[regime.name], found.rejections < 0.02) == (0, True, True), found
