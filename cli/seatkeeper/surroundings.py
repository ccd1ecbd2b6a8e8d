"""Everything that the program takes from outside: streams, variables, time, network. Tests replace it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import httpx


@dataclass
class Surroundings:
    """`transport`: replaces the network. `interactive`: whether a person can answer; None asks the terminal."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    answers: TextIO = field(default_factory=lambda: sys.stdin)
    variables: Mapping[str, str] = field(default_factory=lambda: os.environ)
    folder: Path = field(default_factory=Path.cwd)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    transport: httpx.BaseTransport | None = None
    interactive: bool | None = None
    width: int | None = None

    @property
    def has_person(self) -> bool:
        """Whether a question can be answered."""
        if self.interactive is not None:
            return self.interactive
        return self.answers.isatty() and self.err.isatty()

    @property
    def config_file(self) -> Path:
        """Where `auth login` stores the address and the scope; it holds no secret."""
        variables = self.variables
        base = variables.get("APPDATA") or variables.get("XDG_CONFIG_HOME")
        home = Path(variables.get("HOME") or variables.get("USERPROFILE") or Path.home())
        return (Path(base) if base else home / ".config") / "seatkeeper" / "config.json"
