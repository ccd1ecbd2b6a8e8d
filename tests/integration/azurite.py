"""Azurite for a test: started on a free port in a directory of its own, stopped by pid."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.ports import free_port
from local.processes import Process, stop_all
from local.stack import ACCOUNT, ACCOUNT_KEY, ROOT, wait_for_http


def connection_string(port: int) -> str:
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};TableEndpoint={endpoint};"


@contextmanager
def running(directory: Path, *, indexed: bool = False) -> Iterator[str]:
    """A connection string of an Azurite of its own; `indexed`: with the index that the local stack gives it."""
    port = free_port()
    program = str(ROOT / "local" / "node_modules" / ".bin" / "azurite-table")
    start = ("node", "--require", str(ROOT / "local" / "azurite.cjs"), program) if indexed else (program,)
    options = ("--tableHost", "127.0.0.1", "--tablePort", str(port), "--silent", "--disableTelemetry")
    process = Process("azurite", (*start, *options, "--inMemoryPersistence"), directory, os.environ, directory)
    process.start()
    try:
        wait_for_http(f"http://127.0.0.1:{port}/{ACCOUNT}", process)
        yield connection_string(port)
    finally:
        stop_all([process])


@contextmanager
def running_blobs(directory: Path) -> Iterator[str]:
    """A connection string of a blob service of its own."""
    port = free_port()
    program = str(ROOT / "local" / "node_modules" / ".bin" / "azurite-blob")
    options = ("--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent", "--skipApiVersionCheck")
    command = (program, *options, "--disableTelemetry", "--inMemoryPersistence")
    process = Process("azurite-blobs", command, directory, os.environ, directory)
    process.start()
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    try:
        wait_for_http(endpoint, process)
        yield f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};BlobEndpoint={endpoint};"
    finally:
        stop_all([process])
