"""A simulated tenant with the positions of a recording must give the recorded observations.

Times are not compared. A step that the recording has and the run has not is a difference too, and the other way round.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from local.tenant.profile import settings_of
from shared.domain.first_contact import Level
from shared.domain.first_contact_recording import recording
from tests.support.first_contact import first_contact_stage

RECORDINGS = Path(__file__).parent.parent / "recordings"

COMPARED = ("status", "code", "text", "headers", "shape", "traits")

Json = dict[str, Any]


async def record(positions: Mapping[str, str], level: Level) -> Json:
    """The recording of a run on the simulated tenant with these positions."""
    async with first_contact_stage(settings_of(positions)) as stage:
        return recording(await stage.run(level))


async def differences(recorded: Json) -> list[str]:
    """Each value that the simulated tenant shows differently."""
    now = await record(recorded["positions"], Level(recorded["level"]))
    return list(_different(recorded, now))


def _different(recorded: Json, now: Json) -> Iterator[str]:
    for number, position in recorded["positions"].items():
        if now["positions"].get(number) != position:
            yield f"assumption {number}: recorded {position!r}, simulated {now['positions'].get(number)!r}"
    steps = sorted({*recorded["observations"], *now["observations"]})
    for step in steps:
        before, after = recorded["observations"].get(step), now["observations"].get(step)
        if before is None or after is None:
            yield f"step {step}: only in the {'simulated run' if before is None else 'recording'}"
            continue
        for name in COMPARED:
            if before[name] != after[name]:
                yield f"step {step}: {name} recorded {before[name]!r}, simulated {after[name]!r}"


def recordings() -> dict[str, Json]:
    """All recordings by file name."""
    return {each.name: json.loads(each.read_text("utf-8")) for each in sorted(RECORDINGS.glob("*.json"))}
