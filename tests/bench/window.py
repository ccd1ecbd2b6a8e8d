"""Operations of three sizes at Graph's true quota, with warm processes and an empty window, beside the script.

Every operation begins when the last write is older than the window, as after a quiet quarter of an hour.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from local.client import Client
from local.stack import ROOT, Stack, StackOptions

SIZES = (1000, 2500, 6000)
WARM_UP = 60
"""Members of the first operation: it starts every process, and the budget's row is there from then on."""

EMPTY_AFTER_S = 155
"""Longer than the window of 150 s."""

Measure = Callable[[Console, Client, Stack, argparse.Namespace], dict[str, Any]]
Compete = Callable[[Console, Client, Stack, str, int], dict[str, Any]]


def measure(console: Console, options: argparse.Namespace, product: Measure, competitor: Compete) -> dict[str, Any]:
    """Rows of the product and of the script for each size, and the app's seconds to the last write."""
    stack_options = StackOptions(
        members=WARM_UP,
        seed=options.seed,
        processes=2,
        state_dir=ROOT / ".local" / "bench-window",
        tenant=("--quota-kind", options.quota_kind),
    )
    rows: list[dict[str, Any]] = []
    with Stack(stack_options) as stack:
        client = Client(stack.endpoints)
        product(console, client, stack, options)
        for members in SIZES:
            # Other people than those before: the app would doubt that their licenses are gone.
            generate = {"members": members, "seed": options.seed + members, "scarceSeats": True}
            client.tenant("POST", "/generate", generate)
            _quiet(console)
            rows.append({"members": members, **product(console, client, stack, options)})
            client.tenant("POST", "/generate", generate)
            client.tenant("POST", "/quota", {})
            rows.append({"members": members, **competitor(console, client, stack, "script", members)})
            client.tenant("POST", "/quota", {})
    return {"rows": rows}


def _quiet(console: Console) -> None:
    with console.status(f"The window empties: {EMPTY_AFTER_S} s ..."):
        time.sleep(EMPTY_AFTER_S)


def show(console: Console, found: dict[str, Any]) -> None:
    table = Table(title="Warm processes, empty window, true quota of 3,000 writes in 150 s")
    for column in ("members", "", "licensed", "seconds", "throttled", "writes/s"):
        table.add_column(column, justify="right" if column else "left")
    for row in found["rows"]:
        texts = (f"{row['members']:,}", row["name"], f"{row['licensed']:,}")
        table.add_row(*texts, str(row["seconds"]), str(row["throttled"]), str(row["writesPerSecond"]))
    console.print(table)
