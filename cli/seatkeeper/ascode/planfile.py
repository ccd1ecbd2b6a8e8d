"""The plan file: the same bytes for the same state, with a checksum over its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seatkeeper.ascode.reading import contents, digest
from seatkeeper.errors import CliError, Rejected

MAKE_ONE = "Make one: seatkeeper plan licenses/ -out p.json"

Json = dict[str, Any]


def checksum(document: Mapping[str, Any]) -> str:
    """64 hex digits over a plan without its own checksum."""
    content = {name: value for name, value in document.items() if name != "checksum"}
    return hashlib.sha256(
        json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    ).hexdigest()


def encode(document: Mapping[str, Any]) -> str:
    """The content of a plan file."""
    return json.dumps({**document, "checksum": checksum(document)}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def write(document: Mapping[str, Any], path: Path) -> None:
    """Write a plan file; a crash leaves the old one or the new one."""
    part = path.with_name(path.name + ".part")
    part.write_text(encode(document), encoding="utf-8", newline="\n")
    part.replace(path)


def load(path: Path) -> Json:
    """A plan file. Raises CliError, and Rejected if it was changed."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise CliError(f"{path} is not a plan file: {fault}.", MAKE_ONE) from fault
    if not isinstance(found, dict) or found.get("formatVersion") != 1:
        raise CliError(f"{path} is not a plan file of this version.", MAKE_ONE)
    if found.get("checksum") != checksum(found):
        raise Rejected(f"{path} is rejected.", ["The plan file was changed after it was written."], "Plan again.")
    return found


def changed_files(document: Mapping[str, Any], source: Path) -> list[str]:
    """The files of the folder that are not as they were planned, each with a word."""
    planned: Mapping[str, str] = document["files"]
    now = {name: digest(content) for name, content in contents(source).items()}
    found = [f"{name} is new." for name in sorted(now.keys() - planned.keys())]
    found += [f"{name} is gone." for name in sorted(planned.keys() - now.keys())]
    found += [
        f"{name} was changed after the plan." for name in sorted(now) if name in planned and now[name] != planned[name]
    ]
    return found
