"""What a run of the SDK's tests came to, held against what is known of them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """`passes`: by file, how many passed when it was last looked at. `failures`: by node id, why it may fail."""

    passes: Mapping[str, int]
    failures: Mapping[str, str]


def outcomes(report: str) -> dict[str, str]:
    """Node id to `passed`, `failed` or `skipped`, from a report in JUnit's XML (pytest's xunit1)."""
    found: dict[str, str] = {}
    for case in ET.fromstring(report).iter("testcase"):
        *module, test_class = case.get("classname", "").split(".")
        kinds = {child.tag for child in case}
        what = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found[f"{'/'.join(module)}.py::{test_class}::{case.get('name', '')}"] = what
    return found


def wrongs(outcome: Mapping[str, str], known: Known, *, files: tuple[str, ...], partial: bool) -> list[str]:
    """Everything that is not as known, of the files that were run; empty when all is.

    `partial`: only some tests were chosen, so that nothing is asked of counts and of tests that are not there.
    """
    found = [
        f"fails: {name}" for name, what in outcome.items() if what == "failed" and name not in known.failures
    ]  # fmt: skip
    for name in known.failures:
        what = outcome.get(name)
        if what == "passed":
            found.append(f"passes now, take it off the list: {name}")
        elif what is None and not partial and name.split("::")[0] in files:
            found.append(f"is on the list, but was not run: {name}")
    for file in () if partial else files:
        passed, least = passes(outcome, file), known.passes[file]
        if passed < least:
            found.append(f"{file}: only {passed} passed, {least} did before")
    return sorted(found)


def passes(outcome: Mapping[str, str], file: str) -> int:
    """How many tests of a file passed."""
    return sum(what == "passed" and name.startswith(f"{file}::") for name, what in outcome.items())
