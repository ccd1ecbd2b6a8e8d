"""Sealed pages against Azurite: each user comes back with the planned action."""

from __future__ import annotations

import pytest

from shared.domain.directory import AssignedLicense, LicenseError
from shared.domain.errors import NotFound
from shared.domain.grant import Source, SourceKind
from shared.domain.outcomes import OutcomeClass, Problem
from shared.domain.permit import Claim
from shared.domain.predicted_errors import PredictedError, likely
from shared.domain.snapshot_pages import PlannedAction, pages_of
from shared.ports.world import Stores
from tests.support.table_rows import BY_SALES, E3, E5, OPERATION, TEAMS, YAMMER, user

SHORT = likely(LicenseError.COUNT_VIOLATION, "none is left", E5, E3)
DENIED = PredictedError(Problem(LicenseError.PERMISSION, "no", "grant it"))


async def test_snapshot_pages_come_back_with_the_action_of_each_user(stores: Stores) -> None:
    planned = {
        user(n): PlannedAction(
            due=bool(n % 3),
            expected=OutcomeClass.APPLIED,
            add=(AssignedLicense(E5, frozenset({TEAMS} if n % 2 else set())),),
            remove=(E3,),
            plans_off=(AssignedLicense(E5, frozenset({YAMMER})),),
            usage_location="CH",
            notes=(f"note {n % 7}",),
            errors=(SHORT, DENIED) if n % 5 else (),
            claims=((E3, (Claim(BY_SALES, n % 3), Claim(Source(SourceKind.LIST)))),) if n % 2 else (),
        )
        for n in range(1001)
    }
    pages = pages_of(planned.items(), 20)
    await stores.snapshots.write(OPERATION, "seal", pages)
    assert [await stores.snapshots.page(OPERATION, "seal", number) for number in (0, 1)] == pages
    with pytest.raises(NotFound):
        await stores.snapshots.page(OPERATION, "another", 0)
