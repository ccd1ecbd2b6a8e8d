"""`make simulation`: thousands of seeded histories in one process; a failing seed prints its history and can be run
alone (`--seed N`)."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time

from tests.simulation.history import History

SHOWN = 60


def main() -> int:
    parser = argparse.ArgumentParser(prog="make simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, help="one seed, its history printed in any case")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    began, kills, deliveries, failed = time.monotonic(), 0, 0, []
    for number, seed in enumerate(seeds, 1):
        history = History(seed)
        wrong = asyncio.run(_played(history))
        kills, deliveries = kills + history.kills, deliveries + history.deliveries
        if wrong or options.seed is not None:
            print("\n".join(history.lines[-SHOWN:]))
        if wrong:
            print(f"seed {seed}: {'; '.join(wrong)}")
            failed.append(seed)
            if len(failed) >= 5:
                break
        if number % 500 == 0:
            print(f"{number:,} histories, {number / (time.monotonic() - began):.0f}/s", flush=True)
    seconds = time.monotonic() - began
    print(f"{number:,} histories in {seconds:.0f} s ({number / seconds:.0f}/s), {deliveries:,} messages")
    print(f"{kills:,} processes killed; wrong: {', '.join(f'seed {seed}' for seed in failed) or 'none'}")
    return 1 if failed else 0


async def _played(history: History) -> list[str]:
    try:
        return await history.play()
    except AssertionError as fault:
        return [str(fault)]


if __name__ == "__main__":
    sys.exit(main())
