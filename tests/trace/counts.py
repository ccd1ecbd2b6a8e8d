"""Counts of structure, from the source alone: lines, imports and levels, assignments of a field, saves."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Found:
    """A place in the source. `kind`: what was found there."""

    file: Path
    line: int
    kind: str


@dataclass(frozen=True, slots=True)
class ImportGraph:
    """Imports among the modules of a folder, and among its direct children: modules and packages as wholes."""

    modules: int
    module_imports: int
    children: frozenset[str]
    imports: frozenset[tuple[str, str]]
    levels: int
    """Children on the longest chain of imports; 0 if there is a cycle."""
    cycle: tuple[str, ...]


def lines(folder: Path) -> int:
    """Lines of every Python file below the folder, with blank lines and comments."""
    return sum(_lines(file) for file in _files(folder))


def long_modules(folders: Iterable[Path], most: int) -> list[tuple[Path, int]]:
    """Modules with more lines than `most`."""
    counted = ((file, _lines(file)) for folder in folders for file in _files(folder))
    return [(file, count) for file, count in counted if count > most]


def assignments(place: Path, field: str) -> list[Found]:
    """Where a field is given a value: `x.field = ...` is of kind "attribute", `f(field=...)` of kind "keyword"."""
    found = []
    for file, tree in _trees(place):
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr == field and isinstance(node.ctx, ast.Store):
                found.append(Found(file, node.lineno, "attribute"))
            elif isinstance(node, ast.keyword) and node.arg == field:
                found.append(Found(file, node.lineno, "keyword"))
    return found


def saves(place: Path) -> Mapping[str, list[Found]]:
    """Calls of a method `save`, by what it is called on: the last name of `a.b.c`, or the whole expression."""
    found: dict[str, list[Found]] = defaultdict(list)
    for file, tree in _trees(place):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "save":
                on = node.func.value
                name = on.attr if isinstance(on, ast.Attribute) else ast.unparse(on)
                found[name].append(Found(file, node.lineno, "save"))
    return found


def graph(root: Path, folder: Path) -> ImportGraph:
    """The imports within a folder, which is given relative to the folder that imports start from."""
    package = ".".join(folder.parts)
    files = {_module(root, file): file for file in _files(root / folder)}
    modules = {(a, b) for a, file in files.items() for b in _imports(file, files.keys()) if a != b}
    children = {child for name in files if (child := _child(name, package))}
    edges = {(_child(a, package), _child(b, package)) for a, b in modules}
    edges = {(a, b) for a, b in edges if a and b and a != b}
    needs = {name: {b for a, b in edges if a == name} for name in children}
    levels: dict[str, int] = {}
    cycle: tuple[str, ...] = ()
    try:
        for name in TopologicalSorter(needs).static_order():
            levels[name] = 1 + max((levels[each] for each in needs[name]), default=0)
    except CycleError as fault:
        levels, cycle = {}, tuple(fault.args[1])
    return ImportGraph(
        modules=sum(file.name != "__init__.py" for file in files.values()),
        module_imports=len(modules),
        children=frozenset(children),
        imports=frozenset(edges),
        levels=max(levels.values(), default=0),
        cycle=cycle,
    )


def _child(module: str, package: str) -> str:
    """The direct child of the package that a module is or belongs to; empty for the package itself."""
    return module.removeprefix(package).lstrip(".").partition(".")[0]


def _imports(file: Path, known: Iterable[str]) -> Iterator[str]:
    modules = set(known)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                name = inner if inner in modules else node.module
                if name in modules:
                    yield name


def _module(root: Path, file: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _trees(place: Path) -> Iterator[tuple[Path, ast.Module]]:
    for file in _files(place):
        yield file, ast.parse(file.read_text())


def _files(place: Path) -> list[Path]:
    return sorted(place.rglob("*.py")) if place.is_dir() else [place]


def _lines(file: Path) -> int:
    return len(file.read_text().splitlines())
