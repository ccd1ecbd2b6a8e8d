"""The file in which `make run` announces its addresses."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from local.run import announced


def test_the_addresses_are_there_while_the_stack_runs(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    path.write_text("of a run that was killed")
    with announced(path, "{}"):
        assert path.read_text() == "{}\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_they_are_gone_also_after_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    with pytest.raises(RuntimeError), announced(path, "{}"):
        raise RuntimeError
    assert not path.exists()
