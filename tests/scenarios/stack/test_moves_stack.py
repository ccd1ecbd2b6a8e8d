"""A group of 60 moves to this app and back on the stack: native licensing is hours late, workers die, people come and
go. `make moves-stack` does it with thousands."""

from __future__ import annotations

from pathlib import Path

from tests.move_stack.running import Size, there_and_back


def test_nobody_is_without_a_plan_for_a_moment_in_a_move_there_and_back(tmp_path: Path) -> None:
    size = Size(60, seed=3, kills=4, latest=2.0)
    to_direct, to_native = there_and_back(size, tmp_path, lambda text: None)
    for each in (to_direct, to_native):
        assert each.right, each
        assert each.license_changes >= 100, "the log has not seen both sources of everybody"
        assert each.clock_moves > 3
    assert (to_direct.members, to_direct.joined, to_direct.left) == (63, 1, 1)
    assert set(to_direct.needed.values()) == {4}, "one member in error and three of a nested group need a license"
    assert len(to_direct.kills) + len(to_native.kills) >= 2
