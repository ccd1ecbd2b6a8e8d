"""`make size`: groups from a thousand to 200,000 members, what grows with them, and what disturbs a large operation.

Each size has a stack of its own. Prints tables, keeps every result in bench-results/size.json as soon as it is there,
and draws docs/images/size.svg when asked. Nothing is asserted by time; exit code 1 when an operation did not complete.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from local.stack import ROOT, WRITES_PER_S
from tests.size.disturbed import beside, squeezed
from tests.size.growing import MEASURES, ReportProgress, Run, as_json, exponents, grow

RESULTS = ROOT / "bench-results" / "size.json"
PICTURE = ROOT / "docs" / "images" / "size.svg"
WORSE_THAN_LINEAR = 1.1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make size", description=__doc__)
    parser.add_argument("--sizes", type=lambda text: [int(each) for each in text.split(",")], default=[1000, 5000])
    parser.add_argument("--scale", type=float, default=8.0, help="factor of Graph's quota and of our budget")
    parser.add_argument("--quota-kind", choices=("bucket", "window"), default="window")
    parser.add_argument("--preview", action="store_true", help="only previews: all is read and planned")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--beside", type=int, default=0, metavar="MEMBERS", help="a second operation beside a large one"
    )
    parser.add_argument("--others", type=int, default=0, metavar="MEMBERS", help="others take the tenant's quota")
    parser.add_argument("--others-seconds", type=float, default=45.0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--draw", action="store_true", help="only draw and print what the file of results has")
    return parser.parse_args()


def main() -> int:
    options, console = arguments(), Console()
    console = Console(width=max(console.width, 150))
    kept: dict[str, Any] = json.loads(options.results.read_text()) if options.results.exists() else {}
    where = ROOT / ".local" / "size"
    common = {"scale": options.scale, "seed": options.seed, "where": where}
    with progress(console) as bar:
        report_progress = progress_reporter(bar)
        if options.beside:
            large, small, first = beside(options.beside, **common, report_progress=report_progress)
            kept["beside"] = {"large": as_json(large), "small": as_json(small), "firstWriteAfterSeconds": first}
        if options.others:
            found = squeezed(options.others, **common, others_s=options.others_seconds, report_progress=report_progress)
            kept["others"] = asdict(found)
        if not (options.draw or options.beside or options.others):
            for run in grow(
                options.sizes,
                **common,
                preview=options.preview,
                quota_kind=options.quota_kind,
                report_progress=report_progress,
            ):
                kept.setdefault("conditions", {})[str(run.members)] = conditions(options)
                others = [each for each in kept.get("runs", []) if key(each) != key(as_json(run))]
                kept["runs"] = [*others, as_json(run)]
                keep(options.results, kept)
    keep(options.results, kept)
    runs = [Run(**each) for each in kept.get("runs", []) if each["scale"] == options.scale]
    runs = sorted((run for run in runs if run.quota_kind == options.quota_kind), key=lambda run: run.members)
    show(console, runs, kept, options)
    if options.draw:
        from tests.size.drawing import draw

        draw(runs, PICTURE)
        console.print(f"drawn: {PICTURE}")
    return 1 if any(run.state != "ProcessingComplete" for run in runs) else 0


def key(run: dict[str, Any]) -> tuple[Any, ...]:
    return (run["name"], run["members"], run["scale"], run["quota_kind"])


def keep(file: Path, kept: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(kept, indent=2) + "\n")


def conditions(options: argparse.Namespace) -> dict[str, Any]:
    return {"cpus": os.cpu_count(), "seed": options.seed, "load": os.getloadavg()[0]}


def progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def progress_reporter(bar: Progress) -> ReportProgress:
    """What shows a run's progress, one bar a run."""
    tasks: dict[int, Any] = {}

    def report_progress(run: Run, operation: dict[str, Any]) -> None:
        totals = operation["totals"]
        if id(run) not in tasks:
            tasks[id(run)] = bar.add_task(f"{run.members:,} members, {run.name}", total=run.members)
        done = totals["members"] - totals["remaining"]
        bar.update(tasks[id(run)], completed=done, total=totals["members"] or run.members)

    return report_progress


def show(console: Console, runs: list[Run], kept: dict[str, Any], options: argparse.Namespace) -> None:
    quota = f"quota x {options.scale:g} ({options.quota_kind}): {20 * options.scale:g} writes/s"
    title = f"{quota}, our rate {WRITES_PER_S * options.scale:g}"
    table = Table(title=title)
    for heading in ("members", "run", "licensed", "error or waiting", "throttled", "share of the rate"):
        table.add_column(heading, justify="right")
    for name, _ in MEASURES:
        table.add_column(name, justify="right")
    for run in runs:
        bad = run.totals["failed"] + run.totals["waiting"]
        shown = (f"{run.members:,}", run.name, f"{run.totals['wrote']:,}", f"{bad:,}", str(run.throttled))
        table.add_row(*shown, str(run.steady_share or ""), *(f"{of(run):,.1f}" for _, of in MEASURES))
    console.print(table)
    for kind in dict.fromkeys(run.name for run in runs):
        for name, grown in exponents([run for run in runs if run.name == kind]).items():
            worse = any(each > WORSE_THAN_LINEAR for each in grown)
            power = ", ".join(map(str, grown))
            console.print(f"{kind}: {name} grow with the power {power}{' - WORSE THAN LINEARLY' * worse}")
    for extra in ("beside", "others"):
        if extra in kept:
            console.print_json(json.dumps(kept[extra]))


if __name__ == "__main__":
    sys.exit(main())
