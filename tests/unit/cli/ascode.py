"""A folder of files beside the app in memory, for tests of licenses as code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.cli import Cli, Ended
from tests.support.runs import OTHER_TEAM, TEAM

NAME, OTHER_NAME = f"Group {TEAM}", f"Group {OTHER_TEAM}"
HEAD = "apiVersion: licensing/v1\n"
SMALL_TEAM = f"{HEAD}groups:\n  - group: {NAME}\n    products: [SMALL]\n"


class AsCode:
    """`write` replaces the files; the commands are those of the program."""

    def __init__(self, cli: Cli, folder: Path) -> None:
        self.cli = cli
        self.files = folder / "licenses"
        self.files.mkdir()
        self.plan_file = folder / "p.json"

    def write(self, text: str, name: str = "licenses.yaml") -> None:
        (self.files / name).write_text(text)

    def validate(self) -> Ended:
        return self.cli("validate", str(self.files))

    def plan(self, *options: str) -> Ended:
        return self.cli("plan", str(self.files), "-out", str(self.plan_file), *options)

    def apply(self, *options: str) -> Ended:
        return self.cli("apply", str(self.plan_file), "--yes", *options)

    def drift(self) -> Ended:
        return self.cli("drift", str(self.files))

    @property
    def document(self) -> Any:
        return json.loads(self.plan_file.read_text())
