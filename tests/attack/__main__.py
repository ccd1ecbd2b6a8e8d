"""`make attack`: everything that a stranger, a colleague with too many rights, or a stolen token can try.

A stack of its own is attacked over HTTP and by its queues. Kinds of attempts: callers and routes, requests of other
sites, odd paths, sessions, forged notifications, approvals, profiles, HR senders, the audit log, and floods. `--load`
measures instead how fast pages and single licenses are while many people work, and while one caller floods. Exit code 1
when anything is wrong. Writes bench-results/attack.json or bench-results/attack-load.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from local.stack import ROOT
from tests.attack.arena import Bar
from tests.attack.load import loads, show
from tests.attack.running import ALONE, KINDS, attack


class Shown(Bar):
    """A progress bar for each kind that is tried."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("start of the stack", total=None)

    def begin(self, name: str) -> None:
        self._progress.stop_task(self._task)
        self._task = self._progress.add_task(name, total=None)

    def expect(self, count: int) -> None:
        self._progress.update(self._task, total=count, completed=0)

    def advance(self) -> None:
        self._progress.advance(self._task)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make attack", description=__doc__)
    parser.add_argument("--only", choices=[kind.name for kind in (*KINDS, ALONE)], action="append")
    parser.add_argument("--every", type=int, default=1, help="make each so many-th of many attempts")
    parser.add_argument("--load", action="store_true", help="measure under load and under a flood")
    parser.add_argument("--runs", type=int, default=1, help="runs of the load on one stack")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a run of the load")
    return parser.parse_args()


def main() -> int:
    options, console = arguments(), Console()
    return _load(options, console) if options.load else _attack(options, console)


def _attack(options: argparse.Namespace, console: Console) -> int:
    began = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        results = attack(every=options.every, only=frozenset(options.only or ()), bar=Shown(bar))
    console.print(results.table())
    for line in results.faults[:50]:
        console.print(f"  WRONG {line}", highlight=False, markup=False)
    console.print(
        f"{results.attempts.total():,} attempts in {time.monotonic() - began:.0f} s: {len(results.faults)} wrong"
    )
    _write("attack.json", {"attempts": dict(results.attempts), "wrong": results.faults})
    return 1 if results.faults else 0


def _load(options: argparse.Namespace, console: Console) -> int:
    with console.status("starting ...") as status:
        found = loads(runs=options.runs, seconds=options.seconds, report_progress=status.update)
    show(console, found)
    _write("attack-load.json", found.as_json())
    return 1 if found.faults else 0


def _write(name: str, found: object) -> None:
    results = ROOT / "bench-results"
    results.mkdir(exist_ok=True)
    (results / name).write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    sys.exit(main())
