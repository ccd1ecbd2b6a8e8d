"""One draw: a tenant at random positions, a basic run, a load run and a later one, and the comparison of all.

`SWITCHES` of local/tenant/profile.py is the table of switches: a switch that is added there is drawn here.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from local.tenant.directory.directory import Directory
from local.tenant.directory.model import LicenseRow
from local.tenant.profile import SWITCHES, settings_of
from shared.domain.first_contact import Level, Run, RunState
from tests.support.first_contact import (
    BRIEFLY_BUSY,
    LOAD_OBJECTS,
    LOADERS,
    TEST_GROUP,
    TESTER,
    Stage,
    first_contact_stage,
)
from tests.support.tenant_stage import ANNA, BEN, E5, F3, GUEST, guid

SHORT_GROUP = guid(0x102)
"""It assigns a product with one license to two members, so one of them has an error."""

CONCURRENCY, REJECTION = 1, 2
"""A tenant that accepts all writes at once does not show how it would reject them."""

LATER = timedelta(days=9)
"""Delta links have expired by then."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Drawn positions by number, those that the check found, and what it left behind or did too often."""

    drawn: Mapping[int, str]
    found: Mapping[int, str]
    faults: tuple[str, ...]

    @property
    def wrong(self) -> list[str]:
        """Positions that were taken for another one."""
        return [
            f"{number}: {self.drawn[number]} was taken for {position}"
            for number, position in self.found.items()
            if number in self.drawn and position and position != self.drawn[number]
        ]

    @property
    def unidentified(self) -> list[int]:
        return [number for number in self.shown if not self.found.get(number)]

    @property
    def shown(self) -> list[int]:
        """Switches whose position changes any answer in this draw."""
        return [number for number in self.drawn if number != REJECTION or self.drawn[CONCURRENCY] != "accepted"]


def draw_positions(seed: int) -> dict[int, str]:
    """A position of each switch; the same seed draws the same. Seeds in a row draw every position of a switch, in an
    order of its own."""
    drawn = {}
    for number, (_, values) in sorted(SWITCHES.items()):
        positions = list(values)
        random.Random(f"blind {number} {seed // len(positions)}").shuffle(positions)
        drawn[number] = positions[seed % len(positions)]
    return drawn


async def play(seed: int) -> Draw:
    """Check one tenant."""
    drawn = draw_positions(seed)
    settings = settings_of({str(number): position for number, position in drawn.items()})
    async with first_contact_stage({**settings, **BRIEFLY_BUSY, "tenantSize": "L"}, LOAD_OBJECTS) as stage:
        await _make_errors(stage)
        before = everything(stage)
        first, load = await stage.run(Level.BASIC), await stage.run(Level.LOAD)
        stage.tenant.state.settings.patch({"deltaTokenSeconds": 0.001})
        stage.clock.moved = LATER
        second = await stage.run()
        runs = (first, load, second)
        found = {each.number: each.position for run in runs for each in run.findings if each.position}
        return Draw(drawn, found, tuple(_faults(stage, before, *runs)))


async def _make_errors(stage: Stage) -> None:
    """One member with an error of each kind that a switch changes."""
    directory = stage.tenant.state.directory
    group = {"id": SHORT_GROUP, "members": [ANNA, BEN], "assignedLicenses": [{"skuId": E5}]}
    await stage.control("POST", "objects", {"groups": [group]})
    stage.tenant.state.native.group_changed(directory.groups[SHORT_GROUP])
    _other_error(directory)
    await asyncio.sleep(0.2)


def _other_error(directory: Directory) -> None:
    """A member whose license failed for another reason, which only the name `Other` has."""
    guest = directory.users[GUEST]
    row = LicenseRow(F3, (), guid(0x101), "Error", "Other", guest.created)
    rows = tuple(each for each in guest.rows if each.group != row.group)
    directory.set_rows(guest, (*rows, row), guest.created + 1)


def everything(stage: Stage) -> Any:
    """Users, groups and subscriptions as they are, without the time of the last change of the test user."""
    directory = stage.tenant.state.directory
    users = {user.id: (user.rows, user.usage_location, sorted(user.parents)) for user in directory.users.values()}
    groups = {group.id: (group.licenses, sorted(group.member_ids)) for group in directory.groups.values()}
    return users, groups, {each.sku_id: each.consumed for each in directory.subscriptions.values()}


def _faults(stage: Stage, before: Any, first: Run, load: Run, second: Run) -> list[str]:
    written = stage.tenant.state.metrics.writes_after(0, 1000)
    others = {each["userId"] for each in written} - {TESTER, TEST_GROUP, *LOADERS}
    texts = f"{first.fault}{load.fault}{second.fault}"
    faults = [
        ("something was left behind", everything(stage) != before),
        (f"{first.writes} and {load.writes} writes", first.writes > 12 or load.writes > 100 or second.writes > 0),
        (f"{second.requests} requests of a read-only run", second.requests > 60),
        (f"others were written: {others}", bool(others)),
        (f"run failed: {texts}", {first.state, load.state, second.state} != {RunState.COMPLETED}),
    ]
    return [text for text, is_fault in faults if is_fault]
