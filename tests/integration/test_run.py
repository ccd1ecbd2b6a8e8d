"""`make run` beside a program that already has its ports."""

from __future__ import annotations

import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.ports import HOST
from local.stack import ROOT
from tests.support.stack_journeys import PATIENCE_S


class Healthy(http.server.BaseHTTPRequestHandler):
    """Answers every request as if it were a running app."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing."""


@pytest.fixture
def other_app() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer((HOST, 0), Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def run(state: Path, *ports: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local.run", "--members", "20", "--state-dir", str(state), *ports]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def test_run_fails_and_names_every_port_that_another_program_has(tmp_path: Path, other_app: int) -> None:
    with socket.create_server((HOST, 0)) as bus:
        queue = bus.getsockname()[1]
        done = run(tmp_path, "--http-port", str(other_app), "--service-bus-port", str(queue), "--tables-port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        f"2 ports are in use by another program: {other_app} (--http-port), {queue} (--service-bus-port)."
        in done.stderr.lower()
    )
    assert "--http-port 8071" in done.stderr


def test_an_http_worker_whose_port_is_taken_does_not_report_that_it_is_ready(tmp_path: Path, other_app: int) -> None:
    command = [sys.executable, "-m", "local.host", "--app-dir", str(ROOT / "tests/integration/sample_app")]
    environment = {"LOCAL_SIGNING_KEY": "local", "TENANT_ID": "t", "SAMPLE_QUEUE": "work", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--http", str(other_app)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout == ""
    assert "address already in use" in done.stderr.lower()
