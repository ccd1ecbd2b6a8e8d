"""`make conformance-graph`: check the simulated tenant against every recording in tests/recordings.

`--record NAME` writes a recording of the simulated tenant at its defaults instead. Exit code 1 for any difference.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from shared.domain.first_contact import Level
from tests.graph_conformance.checking import RECORDINGS, differences, record, recordings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.graph_conformance", description=__doc__)
    parser.add_argument("--record", metavar="NAME", help="file name of a new recording of the simulated tenant")
    arguments = parser.parse_args()
    if arguments.record:
        made = {**asyncio.run(record({}, Level.BASIC)), "recordedOn": "2026-12-01"}
        (RECORDINGS / arguments.record).write_text(json.dumps(made, indent=1) + "\n", "utf-8")
        return 0
    different = 0
    for name, recorded in recordings().items():
        found = asyncio.run(differences(recorded))
        different += len(found)
        sys.stdout.write(f"{name}: {len(recorded['observations'])} observations, {len(found)} differences\n")
        for text in found:
            sys.stdout.write(f"  {text}\n")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
