"""The recording of a run as JSON: its observations and positions, and nothing that names a tenant, person or object.

A simulated tenant takes its positions from a recording, and a recording of a live tenant checks the simulated one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.domain.first_contact import Observation, Run

VERSION = 1

Json = dict[str, Any]


def recording(run: Run) -> Json:
    """`observations` by step, `positions` by number of the assumption. The day is recorded, the time is not."""
    return {
        "version": VERSION,
        "level": str(run.level),
        "recordedOn": f"{run.created_at:%Y-%m-%d}",
        "positions": {str(each.number): each.position for each in run.findings if each.position},
        "observations": {step: observation_json(seen) for step, seen in run.observations.items()},
    }


def observation_json(seen: Observation) -> Json:
    return {
        "status": seen.status,
        "code": seen.code,
        "text": seen.text,
        "headers": dict(seen.headers),
        "shape": dict(seen.shape),
        "traits": dict(seen.traits),
        "seconds": seen.seconds,
    }


def observation_of(value: Mapping[str, Any]) -> Observation:
    """Raises KeyError, TypeError or ValueError for a value that is no observation."""
    return Observation(
        int(value["status"]),
        str(value["code"]),
        str(value["text"]),
        dict(value["headers"]),
        dict(value["shape"]),
        dict(value["traits"]),
        float(value["seconds"]),
    )
