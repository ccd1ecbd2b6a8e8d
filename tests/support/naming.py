"""Whom the logs of the function host name: nobody, at any level that is written."""

from __future__ import annotations

import re
from pathlib import Path

from local.tenant.generator.names import FIRST_NAMES, LAST_NAMES

PERSONAL = {
    "a name": re.compile(rf"\b({'|'.join(FIRST_NAMES)})[ .]({'|'.join(LAST_NAMES)})\b", re.IGNORECASE),
    "an address": re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
    "a token": re.compile(r"\beyJ[\w-]{8,}"),
}
NOT_THE_APP = ("azurite", "azurite-blobs", "servicebus", "tenant")


def named_in(line: str) -> list[str]:
    """What of a person, or of a sign-in, stands in a line."""
    return [what for what, pattern in PERSONAL.items() if pattern.search(line)]


def must_name_nobody(logs: Path) -> None:
    """No line of any function process of a stack names a person or has a token."""
    for log in logs.glob("*.log"):
        if log.stem not in NOT_THE_APP:
            lines = log.read_text(errors="replace").splitlines()
            assert [(log.stem, line[:300]) for line in lines if named_in(line)] == []
