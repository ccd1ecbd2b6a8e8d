"""`make plan-size`: files of many groups, planned twice by the command line against a stack of its own.

The groups share their products and a part of their people, so every preview must know all groups of each member. Both
plans must have the same bytes, and the number of licenses that follows from the files. Nothing is written to Graph.
Exit codes: 0 as wanted, 1 other bytes, another number, or longer than the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.client import Client
from local.stack import ROOT, Stack, StackOptions

WHERE = ROOT / ".local" / "plan-size"
PRODUCTS = (("SPE_E3",), ("SPE_E3", "VISIOCLIENT"), ("SPE_F1",), ("SPE_E5",), ("SPE_E3", "PROJECTPROFESSIONAL"))
"""What the groups assign, in turn."""

SHARED = 20
"""Of so many people of a group, one is also in the next group."""

AT_ONCE = 5000
"""Users in one request to the simulated tenant."""


@dataclass(frozen=True)
class Team:
    """A group with its products and members."""

    id: str
    name: str
    products: tuple[str, ...]
    members: tuple[str, ...]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make plan-size", description=__doc__)
    parser.add_argument("--groups", type=int, default=200)
    parser.add_argument("--members", type=int, default=100_000, help="people in all groups together")
    parser.add_argument("--processes", type=int, default=2, help="copies of each queue function")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds that a plan can take")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    teams = teams_of(options.groups, options.members)
    files = WHERE / "licenses"
    files.mkdir(parents=True, exist_ok=True)
    (files / "licenses.yaml").write_text(document(teams), encoding="utf-8")
    with Stack(StackOptions(members=20, processes=options.processes, state_dir=WHERE)) as stack:
        client = Client(stack.endpoints)
        place(client, teams)
        found = [planned(stack, files, number) for number in (1, 2)]
    return judge(teams, found, options.limit)


def teams_of(groups: int, people: int) -> list[Team]:
    """Groups of equal size; one of SHARED people is in the next group too. The same IDs each time."""
    size = max(1, people // groups)
    ids = [[_id(f"{group}.{number}") for number in range(size)] for group in range(groups)]
    return [
        Team(
            _id(f"group {number}"),
            f"SG-LIC-{number:04d}",
            PRODUCTS[number % len(PRODUCTS)],
            (*own, *(ids[number - 1][::SHARED] if groups > 1 else ())),
        )
        for number, own in enumerate(ids)
    ]


def _id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.plan-size.example"))


def document(teams: list[Team]) -> str:
    """The file that says what each group assigns."""
    lines = ["apiVersion: licensing/v1", "groups:"]
    for team in teams:
        lines += [f"  - group: {team.name}", f"    id: {team.id}", f"    products: [{', '.join(team.products)}]"]
    return "\n".join(lines) + "\n"


def place(client: Client, teams: list[Team]) -> None:
    """People, groups and enough licenses in the simulated tenant."""
    people = sorted({person for team in teams for person in team.members})
    skus = sorted({product for team in teams for product in team.products})
    client.tenant("POST", "/objects", {"skus": [{"skuPartNumber": each, "enabled": 10**6} for each in skus]})
    for start in range(0, len(people), AT_ONCE):
        client.tenant("POST", "/objects", {"users": [{"id": each} for each in people[start : start + AT_ONCE]]})
    rows = [{"id": team.id, "displayName": team.name, "members": list(team.members)} for team in teams]
    for start in range(0, len(rows), 20):
        client.tenant("POST", "/objects", {"groups": rows[start : start + 20]})


@dataclass(frozen=True)
class Plan:
    """One run of the program. `requests`: those that Graph answered meanwhile, and those that it rejected."""

    seconds: float
    content: bytes
    requests: int
    throttled: int


def planned(stack: Stack, files: Path, number: int) -> Plan:
    """The plan file after a call of the program, as a person calls it. Raises CalledProcessError if it fails."""
    client = Client(stack.endpoints)
    client.tenant("POST", "/metrics/reset")
    out = WHERE / f"plan-{number}.json"
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "seatkeeper", "plan", str(files), "-out", str(out), "-o", "json", "--query", "totals"],
        env=environment(stack, client),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    if done.returncode != 2:
        raise SystemExit(f"seatkeeper plan ended with {done.returncode}.\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    metrics = client.tenant("GET", "/metrics")
    print(f"plan {number}: {seconds:.1f} s, {metrics['requests']:,} requests to Graph", flush=True)
    return Plan(round(seconds, 1), out.read_bytes(), metrics["requests"], metrics["throttled"])


def environment(stack: Stack, client: Client) -> Mapping[str, str]:
    """Variables with which the program finds the stack."""
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'cli'}",
        "SEATKEEPER_URL": stack.endpoints.api,
        "SEATKEEPER_TOKEN": client.token,
    }


def judge(teams: list[Team], found: list[Plan], limit_s: float) -> int:
    """Print what was found. Returns the exit code."""
    totals: dict[str, Any] = json.loads(found[0].content)["totals"]
    expected = len({(person, product) for team in teams for person in team.members for product in team.products})
    faults = []
    if len({plan.content for plan in found}) > 1:
        faults.append("The two plans differ.")
    if (totals["groups"], totals["assign"]) != (len(teams), expected):
        faults.append(f"{totals['assign']:,} licenses in {totals['groups']:,} groups, not {expected:,}.")
    slow = [plan.seconds for plan in found if plan.seconds > limit_s]
    if slow:
        faults.append(f"{max(slow):.1f} s, not {limit_s:g} s.")
    print(f"{len(teams):,} groups, {totals['assign']:,} licenses to assign: {totals}")
    print("\n".join(faults) or "Both plans have the same bytes.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
