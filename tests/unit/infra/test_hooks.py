"""The hooks of a commit are the checks of `make check`, and nothing else."""

from __future__ import annotations

import re

from tests.support.project import ROOT


def test_the_hooks_run_the_commands_of_make_check_in_its_order() -> None:
    recipe = (ROOT / "Makefile").read_text().split("\ncheck:")[1].split("\n\n")[0]
    commands = [line.strip().replace("$(BIN)/", ".venv/bin/") for line in recipe.splitlines()[1:]]
    hooks = re.findall(r"^ +entry: (.+)$", (ROOT / ".pre-commit-config.yaml").read_text(), re.MULTILINE)
    assert len(hooks) == len(commands)
    for hook, command in zip(hooks, commands, strict=True):
        assert command in (hook, f"{hook} infra/scripts/*.sh"), command
