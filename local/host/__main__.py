"""`python -m local.host`: one worker of the function host, for a queue function, for HTTP, or for the timers."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from pathlib import Path

import uvicorn

from local.host.auth import SignIn
from local.host.bus import BusTrigger
from local.host.http import HttpHost
from local.host.metadata import AppError, Function, load_functions, load_host
from local.host.timers import run_timer, timers_of

HOST = "127.0.0.1"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.host", description=__doc__)
    parser.add_argument("--app-dir", type=Path, default=Path())
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--function", help="the queue function to serve")
    what.add_argument("--http", type=int, metavar="PORT", help="serve HTTP functions and manual starts")
    what.add_argument("--timers", action="store_true", help="run the timer functions")
    what.add_argument("--list", action="store_true", help="print the functions as JSON")
    return parser.parse_args()


async def serve_queue(function: Function, app_dir: Path) -> None:
    """Serve a queue function until SIGTERM or SIGINT."""
    connection = os.environ[str(function.trigger.get("connection", "ServiceBusConnection"))]
    trigger = BusTrigger(function, load_host(app_dir), connection, app_dir)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, trigger.stop)
    ready()
    await trigger.run()


async def serve_timers(functions: list[Function], app_dir: Path) -> None:
    """Run the timers until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(run_timer(function, app_dir)) for function in functions]
    ready()
    await stop.wait()
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)


def serve_http(functions: dict[str, Function], port: int, app_dir: Path) -> None:
    """Serve HTTP until SIGTERM or SIGINT."""
    withheld = os.environ.get("LOCAL_WITHHELD_CLAIMS", "").split(",")
    sign_in = SignIn(
        os.environ["LOCAL_SIGNING_KEY"],
        os.environ["TENANT_ID"].lower(),
        frozenset(name.strip() for name in withheld if name.strip()),
        os.environ.get("LOCAL_LONG_CLAIM_NAMES", "") == "true",
    )
    app = HttpHost(functions, load_host(app_dir), sign_in, app_dir)
    settings = uvicorn.Config(
        app, host=HOST, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=3
    )
    listening = settings.bind_socket()  # before `ready`: a port in use ends the process as a failed start
    ready()
    uvicorn.Server(settings).run(sockets=[listening])


def ready() -> None:
    """Report to the starter that the worker has loaded the app."""
    print(json.dumps({"ready": True}), flush=True)


def main() -> int:
    options = arguments()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("azure", "httpx", "httpcore", "uamqp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    app_dir = options.app_dir.resolve()
    try:
        functions = load_functions(app_dir, os.environ)
    except AppError as fault:
        print(f"function host: {fault}", file=sys.stderr)
        return 2
    if options.list:
        print(
            json.dumps(
                {name: {"kind": each.kind, "trigger": dict(each.trigger)} for name, each in functions.items()},
                default=str,
            )
        )
    elif options.timers:
        asyncio.run(serve_timers(timers_of(functions.values()), app_dir))
    elif options.http is not None:
        serve_http(functions, options.http, app_dir)
    elif options.function in functions:
        asyncio.run(serve_queue(functions[options.function], app_dir))
    else:
        print(f"function host: there is no function {options.function}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
