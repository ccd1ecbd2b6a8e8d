"""`make faults`: work under way while something is broken for a while, for each thing that can break.

Each scenario has a stack of its own with two processes of every function, an operation under way, and people who come
and go. After the trouble the oracle judges every user, queues must be empty, and the audit log must be the tenant's
write log. Exit code 1 when anything is wrong. Writes bench-results/faults.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from local.stack import ROOT
from tests.faults.running import Verdict, as_line, try_scenario
from tests.faults.scenarios import SCENARIOS


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--only", choices=[scenario.name for scenario in SCENARIOS], action="append")
    parser.add_argument("--members", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--outage", type=float, default=15.0, help="seconds that the trouble lasts")
    return parser.parse_args()


def main() -> int:
    options, console = arguments(), Console()
    verdicts: list[Verdict] = []
    chosen = [scenario for scenario in SCENARIOS if options.only is None or scenario.name in options.only]
    for scenario in chosen:
        with tempfile.TemporaryDirectory() as directory, console.status(f"{scenario.name} ...") as status:
            verdict = try_scenario(
                scenario,
                seed=options.seed,
                members=options.members,
                outage_s=options.outage,
                directory=Path(directory) / "faults",
                report_progress=status.update,
            )
        verdicts.append(verdict)
        console.print(as_line(verdict), highlight=False)
        for line in verdict.wrong[:10]:
            console.print(f"  {line}", highlight=False, markup=False)
    results = ROOT / "bench-results"
    results.mkdir(exist_ok=True)
    (results / "faults.json").write_text(json.dumps([asdict(verdict) for verdict in verdicts], indent=2))
    wrong = sum(not verdict.right for verdict in verdicts)
    console.print(f"{len(verdicts)} scenarios of {options.outage:g} s, seed {options.seed}: {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
