"""`make simulation`: thousands of seeded histories on all cores; a failing seed prints its history and can be run alone
(`--seed N`)."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import selectors
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool

from tests.simulation.history import CROWDS_FROM, History
from tests.simulation.switched import play_switched
from tests.simulation.tenant_acts import KINDS

SHOWN = 60
AT_MOST_WRONG = 5
TOGETHER = 25


class _NothingOutside(selectors.SelectSelector):
    """Nothing comes from outside: the loop need not ask the system for it before every step."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return [] if timeout is not None and timeout <= 0 else super().select(timeout)


@dataclass(frozen=True)
class Played:
    """What a seed came to."""

    seed: int
    wrong: list[str]
    lines: list[str]
    kills: int
    deliveries: int
    events: int


def play(seed: int, kinds: frozenset[str] | None = None) -> Played:
    """One history; its lines only where something is wrong, or none are few."""
    logging.disable(logging.CRITICAL)
    history = History(seed, kinds)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_NothingOutside())) as runner:
        wrong = runner.run(_wrong(history))
    return Played(seed, wrong, history.lines[-SHOWN:], history.kills, history.deliveries, len(history.events))


def play_at_positions(seed: int) -> Played:
    """One history with the switches of the simulated tenant at drawn positions."""
    logging.disable(logging.CRITICAL)
    history = asyncio.run(play_switched(seed))
    return Played(seed, history.wrong, history.lines[-SHOWN:], history.kills, history.deliveries, 0)


async def _wrong(history: History) -> list[str]:
    try:
        return await history.play()
    except AssertionError as fault:
        return [str(fault)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=CROWDS_FROM)
    parser.add_argument("--seed", type=int, help="one seed, its history printed in any case")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--with", nargs="*", choices=KINDS, dest="kinds", help="kinds of the tenant's own acts, instead of the seed's"
    )
    parser.add_argument(
        "--switches", action="store_true", help="on the simulated tenant, at drawn positions of its switches"
    )
    options = parser.parse_args()
    kinds = None if options.kinds is None else frozenset(options.kinds)
    one: Callable[[int], Played] = play_at_positions if options.switches else partial(play, kinds=kinds)
    if options.seed is not None:
        alone = one(options.seed)
        print("\n".join(alone.lines))
        print(f"seed {alone.seed}: {'; '.join(alone.wrong) or 'right'}")
        return 1 if alone.wrong else 0
    began, done, kills, deliveries, events, failed = time.monotonic(), 0, 0, 0, 0, list[int]()
    with Pool(options.processes) as pool:
        for each in pool.imap(one, range(options.first, options.first + options.seeds), TOGETHER):
            done, kills, deliveries = done + 1, kills + each.kills, deliveries + each.deliveries
            events += each.events
            if each.wrong:
                print("\n".join(each.lines))
                print(f"seed {each.seed}: {'; '.join(each.wrong)}")
                failed.append(each.seed)
                if len(failed) >= AT_MOST_WRONG:
                    break
            if done % 500 == 0:
                print(f"{done:,} histories, {done / (time.monotonic() - began):.0f}/s", flush=True)
    seconds = time.monotonic() - began
    print(
        f"{done:,} histories in {seconds:.0f} s ({done / seconds:.0f}/s), {deliveries:,} messages, {events:,} HR events"
    )
    print(f"{kills:,} processes killed; wrong: {', '.join(f'seed {seed}' for seed in failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
