"""`make run`: the stack runs until Ctrl-C. Its addresses are printed for people, and as one line of JSON.

While it runs, the same JSON is in `.local/run/endpoints.json`, where `seatkeeper --local` finds it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.client import Client
from local.native_demo import place
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
    parser.add_argument(
        "--native-group", action="store_true", help="a group that Microsoft licenses, 3 members in error"
    )
    return parser.parse_args()


@contextmanager
def announced(path: Path, line: str) -> Iterator[None]:
    """A file with the addresses and the secret of the simulated client, for the caller's eyes only, as long as they
    are valid."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(line + "\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def main() -> int:
    options = arguments()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        native = vars(options).pop("native_group")
        with Stack(StackOptions(**vars(options))) as stack:
            where = stack.endpoints
            if native:
                client = Client(where)
                place(client)
                client.fire("watch_errors")
            print(f"Open         {where.api}   (choose a role, for example Global Administrator)")
            print(f"API          {where.api}/api")
            print(f"Graph        {where.graph}   (control: {where.control})")
            print(f"Service Bus  {where.service_bus}")
            print(f"Tables       {where.tables}")
            print(f"Logs         {stack.logs_dir}")
            print("Command line seatkeeper --local, in a folder of this clone")
            print("Ctrl-C stops everything.")
            print(where.json_line(), flush=True)
            with announced(options.state_dir / "endpoints.json", where.json_line()):
                stop.wait()
    except StartError as fault:
        print(f"The stack did not start: {fault}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
