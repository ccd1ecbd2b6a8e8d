"""`make run`: the stack runs until Ctrl-C. Its addresses are printed for people, and as one line of JSON."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from local.processes import StartError
from local.stack import ROOT, Stack, StackOptions


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--members", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="factor of the simulated quota and the app's budget")
    parser.add_argument("--processes", type=int, default=1, help="copies of each queue function")
    parser.add_argument("--http-port", type=int, default=7071)
    parser.add_argument("--tenant-port", type=int, default=0)
    parser.add_argument("--service-bus-port", type=int, default=5672)
    parser.add_argument("--tables-port", type=int, default=10002)
    parser.add_argument("--state-dir", type=Path, default=ROOT / ".local" / "run")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with Stack(StackOptions(**vars(options))) as stack:
            where = stack.endpoints
            print(f"Open         {where.api}   (choose a role, for example Global Administrator)")
            print(f"API          {where.api}/api")
            print(f"Graph        {where.graph}   (control: {where.control})")
            print(f"Service Bus  {where.service_bus}")
            print(f"Tables       {where.tables}")
            print(f"Logs         {stack.logs_dir}")
            print("Ctrl-C stops everything.")
            print(where.json_line(), flush=True)
            stop.wait()
    except StartError as fault:
        print(f"The stack did not start: {fault}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
