"""`python -m local.servicebus --config FILE`: prints its ports as one JSON line and runs until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from pathlib import Path

from local.servicebus.config import ConfigError
from local.servicebus.emulator import ServiceBusEmulator


async def run(config: Path, port: int, control_port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with ServiceBusEmulator(config, port, control_port) as emulator:
        print(json.dumps({"port": emulator.port, "controlPort": emulator.control_port}), flush=True)
        await stop.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.servicebus", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="queues, in the shape of Microsoft's emulator")
    parser.add_argument("--port", type=int, default=5672, help="0: any free port")
    parser.add_argument("--control-port", type=int, default=0, help="HTTP: counts, dead letters, faults")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")
    try:
        asyncio.run(run(options.config, options.port, options.control_port))
    except (ConfigError, OSError) as fault:
        print(f"Service Bus emulator: {fault}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
