"""The program on a team of people in memory; work is done after each request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import ADMINISTRATOR, Cli
from tests.support.runs import Run
from tests.unit.cli.ascode import AsCode


@pytest.fixture
def run() -> Run:
    return Run()


@pytest.fixture
def cli(run: Run, tmp_path: Path) -> Iterator[Cli]:
    with Cli(lambda: run.world, run.work_off, ADMINISTRATOR, tmp_path) as found:
        yield found


@pytest.fixture
def code(cli: Cli, tmp_path: Path) -> AsCode:
    return AsCode(cli, tmp_path)
