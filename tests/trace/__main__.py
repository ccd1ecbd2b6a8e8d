"""`make trace`: the modules that one members message, one job and one joiner pass through, and how often they return.

`--path` prints each step. `--counts` counts what the structure of the source tells, without running anything.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.trace.counts import Found, assignments, graph, lines, long_modules, saves
from tests.trace.scenes import SCENES, trace
from tests.trace.tracer import Trace

ROOT = Path(__file__).parents[2]
ASIDE = ("shared.domain.", "shared.adapters.")
"""Pure values, and what stands behind the ports: a call there decides nothing about where the work goes next."""

MOST_LINES = 400


def in_handlers(module: str) -> bool:
    return module.startswith("shared.handlers.")


def in_flow(module: str) -> bool:
    return in_shared(module) and not f"{module}.".startswith(ASIDE)


def in_shared(module: str) -> bool:
    return module == "shared" or module.startswith("shared.")


SCOPES: Mapping[str, Callable[[str], bool]] = {
    "flow": in_flow,
    "handlers": in_handlers,
    "shared": in_shared,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make trace", description=__doc__)
    parser.add_argument("--path", action="store_true", help="print every step")
    parser.add_argument("--scope", choices=SCOPES, default="flow", help="the modules that --path prints")
    parser.add_argument("--counts", action="store_true", help="count in the source instead")
    parser.add_argument("--handlers", type=Path, default=Path("shared/handlers"), help="the folder to count in")
    parser.add_argument("--field", default="result", help="the attribute whose assignments are counted")
    parser.add_argument(
        "--within", type=Path, action="append", help="count assignments here only; default: the whole folder"
    )
    parser.add_argument("--saves", type=Path, default=Path("shared/handlers/onboarding"), help="count saves here")
    options = parser.parse_args()
    if options.counts:
        print_counts(options.handlers, options.field, options.within or [options.handlers], options.saves)
        return
    logging.disable(logging.CRITICAL)
    traces = {
        name: {scope: asyncio.run(trace(scene, of)) for scope, of in SCOPES.items()} for name, scene in SCENES.items()
    }
    print_table(traces)
    for name, by_scope in traces.items():
        print_path(name, by_scope[options.scope], whole=options.path)


def print_table(traces: Mapping[str, Mapping[str, Trace]]) -> None:
    """Modules and returns of each scene, by scope."""
    print(f"{'':20}" + "".join(f"{scope:>20}" for scope in SCOPES))
    for name, by_scope in traces.items():
        cells = (f"{len(by_scope[scope].modules)} with {by_scope[scope].returns}" for scope in SCOPES)
        print(f"{name:20}" + "".join(f"{cell:>20}" for cell in cells))
    print(f"\nModules with returns. flow: shared without {' and '.join(each.rstrip('.') for each in ASIDE)}.")


def print_path(name: str, trace: Trace, *, whole: bool) -> None:
    print(f"\n{name}: {', '.join(_short(module) for module in trace.modules)}")
    if whole:
        for step in trace.steps:
            print(f"  {_short(step.caller) or '(start)':32} -> {_short(step.module)}.{step.function}")


def _short(module: str) -> str:
    return module.removeprefix("shared.").removeprefix("handlers.")


def print_counts(handlers: Path, field: str, within: list[Path], onboarding: Path) -> None:
    """What can be read off the source."""
    whole = graph(ROOT, handlers)
    size = f"{lines(ROOT / handlers):,} lines, {whole.modules} modules"
    print(f"{handlers}: {size}, {whole.module_imports} imports among them")
    levels = f"{whole.levels} levels" if not whole.cycle else f"a cycle: {' -> '.join(whole.cycle)}"
    print(f"  direct children: {len(whole.children)}, {len(whole.imports)} imports among them, {levels}")
    for name, found in (("as an attribute", "attribute"), ("as a keyword", "keyword")):
        places = [each for folder in within for each in assignments(ROOT / folder, field) if each.kind == found]
        print(f"`{field}` given {name}: {_by_module(places)}")
    for receiver, places in sorted(saves(ROOT / onboarding).items()):
        print(f"{receiver}.save(...) in {onboarding}: {_by_module(places)}")
    for path, count in long_modules([ROOT / "functions", ROOT / "shared"], MOST_LINES):
        print(f"over {MOST_LINES} lines: {path.relative_to(ROOT)} {count}")


def _by_module(places: list[Found]) -> str:
    counts: dict[str, int] = {}
    for each in places:
        name = each.file.relative_to(ROOT).as_posix()
        counts[name] = counts.get(name, 0) + 1
    parts = ", ".join(f"{name} {number}" for name, number in counts.items())
    return f"{len(places)} in {len(counts)} modules ({parts})" if places else "none"


if __name__ == "__main__":
    main()
