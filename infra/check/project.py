"""All files of the deployment: main.bicep and the modules it names, each checked on its own and against the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from infra.check.nodes import File
from infra.check.parser import parse
from infra.check.resources import resource_faults
from infra.check.roles import role_faults
from infra.check.safety import safety_faults
from infra.check.symbols import body_of, symbol_faults
from infra.check.tokens import BicepError


def faults(main: Path) -> list[str]:
    """Every fault as `file:line: text`; empty where nothing was found."""
    try:
        files = _read(main)
    except BicepError as fault:
        return [str(fault)]
    found = [fault for path in files for fault in _of_file(path, files, main.parent)]
    return [*found, *_parameters(main, files[main])]


def load(path: Path) -> File:
    """One file. Raises BicepError, also where it does not exist."""
    try:
        return parse(path.name, path.read_text())
    except OSError as fault:
        raise BicepError(f"{path.name}: {fault.strerror}") from None


def _read(main: Path) -> dict[Path, File]:
    """The file and, through its modules, all it needs."""
    files: dict[Path, File] = {}
    waiting = [main]
    while waiting:
        path = waiting.pop()
        if path not in files:
            files[path] = load(path)
            waiting += [_target(path, each.type) for each in files[path].of("module")]
    return files


def _target(path: Path, module: str) -> Path:
    return (path.parent / module).resolve()


def _of_file(path: Path, files: dict[Path, File], root: Path) -> Iterator[str]:
    file = files[path]
    name = path.relative_to(root.resolve())
    modules = {each.name: files[_target(path, each.type)] for each in file.of("module")}
    checks = (
        symbol_faults(file, modules),
        resource_faults(file, path.parent),
        role_faults(file),
        safety_faults(file, path.name, path.parent),
        _scopes(file),
    )
    for line, text in sorted({fault for check in checks for fault in check}):
        yield f"{name}:{line}: {text}"


def _scopes(file: File) -> Iterator[tuple[int, str]]:
    """A module for a resource group must name the group if the file itself is not in one."""
    for each in file.of("module"):
        body = body_of(each)
        if file.scope == "subscription" and body is not None and body.get("scope") is None:
            yield each.line, f"module {each.name} has no scope"


def _parameters(main: Path, file: File) -> Iterator[str]:
    """main.parameters.json gives every parameter without a default, and none that does not exist."""
    given = json.loads(main.with_name("main.parameters.json").read_text())["parameters"]
    declared = {each.name: each for each in file.of("param")}
    for name in sorted(given.keys() - declared.keys()):
        yield f"main.parameters.json: {main.name} has no parameter {name}"
    for name, each in declared.items():
        if each.value is None and name not in given:
            yield f"main.parameters.json: the parameter {name} is not given"
