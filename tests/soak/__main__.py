"""`make soak`: thousands of random changes, three times: by notifications alone, by delta alone, with every fault.

After each run the oracle judges every user, and the app's records say by what each change was found. Exit code 1 when
anything is wrong. Writes bench-results/soak.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from local.stack import ROOT
from tests.soak.running import KINDS, Report, soak
from tests.soak.tenant_acts import KINDS as TENANT_KINDS


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--changes", type=int, default=5000)
    parser.add_argument("--members", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=[kind.name for kind in KINDS])
    parser.add_argument(
        "--with", nargs="*", choices=TENANT_KINDS, dest="tenant_kinds", default=[], help="the tenant's own acts"
    )
    return parser.parse_args()


def main() -> int:
    options, console = arguments(), Console()
    reports: list[Report] = []
    for kind in KINDS:
        if options.only not in (None, kind.name):
            continue
        with tempfile.TemporaryDirectory() as directory, console.status(f"{kind.name} ...") as status:
            report = soak(
                kind,
                changes=options.changes,
                members=options.members,
                seed=options.seed,
                directory=Path(directory) / "state",
                report_progress=status.update,
                tenant_kinds=frozenset(options.tenant_kinds),
            )
        reports.append(report)
        console.print(f"{report.kind}: {'right' if report.right else 'WRONG'}")
        for line in (*report.disagreements[:10], *report.without_permit[:10]):
            console.print(f"  {line}", highlight=False)
    _show(console, reports)
    results = ROOT / "bench-results"
    results.mkdir(exist_ok=True)
    (results / "soak.json").write_text(json.dumps([asdict(report) for report in reports], indent=2))
    return 0 if all(report.right for report in reports) else 1


def _show(console: Console, reports: list[Report]) -> None:
    table = Table(title="Changes of membership, and what became of them")
    table.add_column("")
    for report in reports:
        table.add_column(report.kind, justify="right")
    rows: dict[str, Callable[[Report], str]] = {
        "changes made": lambda each: f"{sum(each.changes.values()):,}",
        "of people / nesting / rules": lambda each: " / ".join(
            str(each.changes.get(kind, 0)) for kind in ("people", "nesting", "rule")
        ),
        "seconds": lambda each: f"{each.seconds:.0f}",
        "right after": lambda each: f"{each.settled_after:.0f} s",
        "licenses changed, found by": lambda each: "\n".join(f"{by} {n:,}" for by, n in each.found_by.items()),
        "removals": lambda each: f"{each.removals:,}",
        "of these, without a loss": lambda each: str(each.without_loss),
        "losses without permit": lambda each: str(len(each.without_permit)),
        "acts of the tenant": lambda each: str(each.tenant_acts),
        "workers killed": lambda each: str(each.kills),
        "wrong users": lambda each: str(len(each.disagreements)),
        "dead letters": lambda each: str(each.dead_letters),
    }
    for name, cell in rows.items():
        table.add_row(name, *(cell(report) for report in reports))
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
