"""`make blind`: play draws until the number is reached, and print how many positions were identified.

Exit code 1 if fewer than 98 % were identified, one was taken for another, or something was left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter

from tests.blind.drawing import play

LEAST_PERCENT = 98.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.blind", description=__doc__)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the first draw; each further one is the next number"
    )
    arguments = parser.parse_args()
    total = missed = 0
    by_number: Counter[int] = Counter()
    faults: list[str] = []
    began = time.monotonic()
    for seed in range(arguments.seed, arguments.seed + arguments.draws):
        draw = asyncio.run(play(seed))
        total += len(draw.shown)
        missed += len(draw.unidentified)
        by_number.update(draw.unidentified)
        faults += [f"seed {seed}: {text}" for text in (*draw.wrong, *draw.faults)]
    percent = 100.0 * (total - missed) / total
    seconds = time.monotonic() - began
    sys.stdout.write(
        f"draws={arguments.draws} positions={total} identified={total - missed} ({percent:.2f} %) "
        f"wrong_or_left_behind={len(faults)} seconds={seconds:.0f}\n"
    )
    for number, count in sorted(by_number.items()):
        sys.stdout.write(f"not identified: assumption {number}, {count} times\n")
    for text in faults[:50]:
        sys.stdout.write(f"{text}\n")
    return 0 if percent >= LEAST_PERCENT and not faults else 1


if __name__ == "__main__":
    sys.exit(main())
