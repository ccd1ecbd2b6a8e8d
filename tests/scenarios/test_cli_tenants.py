"""Random tenants of 20 to 60 people: an export plans to nothing, and a plan assigns exactly what it showed to everyone,
or is rejected as stale. CLI_TENANTS sets how many are played; CLI_SEED plays from another seed on."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.support.cli_tenants import Tenant

TENANTS = int(os.environ.get("CLI_TENANTS", "50"))
SEED = int(os.environ.get("CLI_SEED", "0"))
FIXED = (1400, 1580)
"""Two groups exchange a product beside a third one; the licenses of a member of a pruned group are not up to date."""


@pytest.mark.parametrize("seed", (*FIXED, *range(SEED, SEED + TENANTS)))
def test_a_plan_is_what_happens(seed: int, tmp_path: Path) -> None:
    with Tenant(random.Random(seed), tmp_path) as tenant:
        tenant.begin()
        tenant.export_plans_to_nothing()
        tenant.edit_plan_and_apply()
        tenant.export_plans_to_nothing()
