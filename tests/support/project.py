"""The files of the project, for tests that hold documents and infrastructure to the code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETTING = re.compile(r'\n    """([A-Za-z_]+(?:__[A-Za-z]+)?): ')


def settings_of_the_code() -> set[str]:
    """The names of all settings that the app reads."""
    return set(SETTING.findall((ROOT / "shared" / "config.py").read_text()))
