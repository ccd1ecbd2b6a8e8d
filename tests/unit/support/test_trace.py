"""The tool that counts modules and returns: on a toy package whose answer is known, and on the app itself."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.trace.counts import assignments, graph, lines, saves
from tests.trace.scenes import SCENES, trace
from tests.trace.tracer import Step, Tracer

TOY = {
    "__init__": "",
    "door": """
        from toy import shelf, values
        import asyncio

        async def enter():
            found = values.Value(await shelf.get())
            _own()
            await shelf.get()
            return await _both(found)

        def _own():
            return [each for each in range(3)]

        async def _both(found):
            await asyncio.gather(shelf.get(), _again(found), found.read())

        async def _again(found):
            await asyncio.sleep(0)
            return sum(each for each in shelf.all_of(3))
        """,
    "shelf": """
        import asyncio
        from toy import cellar

        async def get():
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return cellar.dig(lambda: _mine())

        def _mine():
            return 1

        def all_of(count):
            for each in range(count):
                yield cellar.dig(lambda: each)
        """,
    "cellar": """
        def dig(tell):
            return tell()
        """,
    "values": """
        from dataclasses import dataclass

        @dataclass(frozen=True)
        class Value:
            number: int

            async def read(self):
                return self.number
        """,
}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of four modules, importable while the test runs."""
    folder = tmp_path / "toy"
    folder.mkdir()
    for name, source in TOY.items():
        (folder / f"{name}.py").write_text(dedent(source).lstrip())
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "toy"]:
        del sys.modules[name]


def module(name: str) -> Any:
    return importlib.import_module(f"toy.{name}")


async def test_a_module_entered_again_is_a_return_and_resuming_is_not(toy: Path) -> None:
    shelf = module("shelf")
    with Tracer(lambda name: name.startswith("toy.")) as tracer:
        await shelf.get()
        await shelf.get()
    found = tracer.trace
    assert found.steps == 2 * (
        Step("", "toy.shelf", "get"),
        Step("toy.shelf", "toy.cellar", "dig"),
        Step("toy.cellar", "toy.shelf", "get.<locals>.<lambda>"),
    )
    assert found.path == ["toy.shelf", "toy.cellar", "toy.shelf", "toy.cellar", "toy.shelf"]
    assert (found.modules, found.returns) == (["toy.shelf", "toy.cellar"], 3)


async def test_a_module_out_of_scope_is_looked_through_and_steps_in_a_row_count_once(toy: Path) -> None:
    door = module("door")
    with Tracer(lambda name: name in ("toy.door", "toy.shelf")) as tracer:
        await door.enter()
    assert tracer.trace.path == ["toy.door", "toy.shelf"]
    assert {step.function for step in tracer.trace.steps} == {"enter", "get", "all_of"}
    assert tracer.trace.returns == 0


async def test_a_task_is_called_by_what_created_it_and_generated_methods_do_not_count(toy: Path) -> None:
    door = module("door")
    with Tracer(lambda name: name in ("toy.door", "toy.values")) as tracer:
        await door.enter()
    assert tracer.trace.steps == (Step("", "toy.door", "enter"), Step("toy.door", "toy.values", "Value.read"))


def test_nothing_is_recorded_before_or_after(toy: Path) -> None:
    cellar = module("cellar")
    cellar.dig(int)
    with Tracer(lambda name: name.startswith("toy.")) as tracer:
        cellar.dig(int)
    cellar.dig(int)
    assert [step.function for step in tracer.trace.steps] == ["dig"]
    assert sys.getprofile() is None


@pytest.mark.parametrize("name", SCENES)
async def test_each_scene_passes_the_composition_root_and_leaves_the_world_as_it_says(name: str) -> None:
    found = await trace(SCENES[name], lambda module: module.startswith("shared."))
    assert found.modules[0] == "shared.bootstrap"
    assert any(module.startswith("shared.handlers.") for module in found.modules)


def test_imports_levels_and_lines_of_a_folder_are_counted(toy: Path) -> None:
    inner = toy / "inner"
    inner.mkdir()
    (inner / "__init__.py").write_text("")
    (inner / "leaf.py").write_text("from toy import door\nfrom toy.inner import bud\n")
    (inner / "bud.py").write_text("import toy.cellar\n")
    found = graph(toy.parent, Path("toy"))
    assert found.modules == 6
    assert found.children == {"door", "shelf", "cellar", "values", "inner"}
    assert found.imports == {
        ("door", "shelf"),
        ("door", "values"),
        ("shelf", "cellar"),
        ("inner", "door"),
        ("inner", "cellar"),
    }
    assert (found.levels, found.cycle) == (4, ())
    assert lines(inner) == 3
    (toy / "cellar.py").write_text("from toy.inner import leaf\n")
    found = graph(toy.parent, Path("toy"))
    assert found.levels == 0
    assert set(found.cycle) >= {"cellar", "inner"}


def test_assignments_of_a_field_and_saves_are_found_by_kind(toy: Path) -> None:
    (toy / "cellar.py").write_text(
        dedent("""
        case.result = 1
        case.result += 1
        seen = case.result
        result = 2
        replace(case, result=3)
        saver.save(case)
        self.world.stores.rows.save(case)
        """)
    )
    assert [each.kind for each in assignments(toy, "result")] == ["attribute", "attribute", "keyword"]
    assert {name: len(places) for name, places in saves(toy).items()} == {"saver": 1, "rows": 1}
