"""Ports of this machine: free ones for servers, and a clear error for chosen ones that are in use."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress

from local.processes import StartError

HOST = "127.0.0.1"

PORTS = range(20_000, 32_000)
"""Below the ports of outgoing connections (from 32,768 on Linux). So a port is still free when its server starts, or
starts again, although thousands of connections begin and end meanwhile."""


def free_port() -> int:
    """A port that is free now, one of many: stacks may be started at the same time."""
    for _ in PORTS:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise StartError(f"No port from {PORTS.start} to {PORTS.stop - 1} was found free.")


def require_free_ports(chosen: Mapping[str, int | None]) -> None:
    """Raises StartError that names every chosen port in use, by its option. Another program there would answer in the
    app's place."""
    busy = [f"{port} ({option})" for option, port in chosen.items() if port and not is_free(port)]
    if busy:
        ports = "ports are" if len(busy) > 1 else "port is"
        raise StartError(
            f"{len(busy)} {ports} in use by another program: {', '.join(busy)}.\n"
            "Stop that program, perhaps another `make run`, or choose other ports: "
            'make run RUN_OPTIONS="--http-port 8071"'
        )


def is_free(port: int) -> bool:
    """Whether a server can listen on the port. Closing connections of an earlier server do not matter."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
