"""The Graph permissions that the script grants to the app's identity, by feature."""

from __future__ import annotations

from pathlib import Path

TABLE = Path(__file__).parents[2] / "infra" / "scripts" / "permissions.tsv"


def features() -> tuple[str, ...]:
    """All features but `always`."""
    return tuple(dict.fromkeys(feature for feature, _ in _lines() if feature != "always"))


def granted(*chosen: str) -> frozenset[str]:
    """What `--with` each of these features grants."""
    return frozenset(permission for feature, permission in _lines() if feature in ("always", *chosen))


def _lines() -> list[tuple[str, str]]:
    rows = [line.split("\t") for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    return [(row[0], row[1]) for row in rows]
