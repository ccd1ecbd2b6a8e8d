"""`make moves-stack`: a natively licensed group moves to this app and back, on the whole stack with a moved clock.

Native licensing begins up to a day late, takes hours, and fails for some members. Workers are killed at random. Judged
from the tenant's own log: nobody is without a plan for a second, no license beyond the preview is used, and the report
is true. Writes bench-results/moves-stack.json; exit code 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from local.stack import ROOT
from tests.move_stack.running import Direction, Size, there_and_back

RESULTS = ROOT / "bench-results" / "moves-stack.json"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make moves-stack", description=__doc__)
    parser.add_argument("--members", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=20, help="SIGKILL of function workers, over both moves")
    parser.add_argument("--latest", type=float, default=24.0, help="hours that native licensing is late at most")
    parser.add_argument("--scale", type=float, default=10.0, help="factor of Graph's quota and of the app's budget")
    parser.add_argument("--processes", type=int, default=2, help="copies of each queue function")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> int:
    options, console = arguments(), Console()
    size = Size(options.members, options.seed, options.kills, options.latest, options.scale, options.processes)
    with tempfile.TemporaryDirectory() as directory, console.status("starting ...") as status:
        done: list[Direction] = []
        for each in there_and_back(size, Path(directory), _progress(console, status.update)):
            done.append(each)
            _keep(options.results, size, done)
    _show(console, done)
    return 0 if all(each.right for each in done) else 1


def _keep(file: Path, size: Size, done: list[Direction]) -> None:
    """Add the run to the file of results, in place of an earlier one of the same size and seed."""
    kept = json.loads(file.read_text()) if file.exists() else []
    others = [each for each in kept if each["size"] != asdict(size)]
    run = {"size": asdict(size), "cpus": os.cpu_count(), "load": os.getloadavg()[0], "moves": [asdict(d) for d in done]}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([*others, run], indent=2) + "\n")


def _progress(console: Console, update: Callable[[str], None]) -> Callable[[str], None]:
    """On a terminal one line that changes, elsewhere a line each time."""
    return update if console.is_terminal else lambda text: print(text, flush=True)


def _show(console: Console, done: list[Direction]) -> None:
    table = Table(title="Moves on the stack, judged from the tenant's log")
    table.add_column("")
    for each in done:
        table.add_column(each.name, justify="right")
    rows: dict[str, Callable[[Direction], str]] = {
        "members, nested ones included": lambda each: f"{each.members:,}",
        "joined / left midway": lambda each: f"{each.joined} / {each.left}",
        "hours by the moved clock": lambda each: f"{each.hours:,.1f}",
        "moves of the clock": lambda each: f"{each.clock_moves:,}",
        "seconds by the machine's clock": lambda each: f"{each.seconds:,.0f}",
        "workers killed": lambda each: str(len(each.kills)),
        "pauses": lambda each: str(len(each.paused)),
        "changes of licenses in the log": lambda each: f"{each.license_changes:,}",
        "people without a plan, at any time": lambda each: str(each.gaps),
        "person-seconds without a plan": lambda each: f"{each.gap_seconds:,.0f}",
        "licenses announced": lambda each: " / ".join(map(str, each.needed.values())),
        "licenses beyond these": lambda each: " / ".join(map(str, each.over.values())),
        "outcomes": lambda each: ", ".join(f"{name} {count:,}" for name, count in sorted(each.outcomes.items())),
        "wrong": lambda each: str(len(each.wrong)),
    }
    for name, cell in rows.items():
        table.add_row(name, *(cell(each) for each in done))
    console.print(table)
    for each in done:
        for line in (*each.wrong[:10], *(f"paused: {why}" for why in dict.fromkeys(each.paused))):
            console.print(f"{each.name}: {line}", highlight=False, markup=False)


if __name__ == "__main__":
    sys.exit(main())
