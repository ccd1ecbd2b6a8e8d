"""Processes of the stack: started in groups of their own, watched until ready, stopped by pid, never left behind."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_S = 240.0
"""How long a part can take until it serves. A part that ends meanwhile is reported at once."""

STOP_S = 6.0
RESTART_S = 0.3
LOG_LINES = 15
_PR_SET_PDEATHSIG = 1


class StartError(Exception):
    """A part of the stack did not start; the text names it and shows the end of its log."""


def _die_with_parent() -> None:
    """Linux: the child gets SIGTERM when its parent dies, however that happens (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Process:
    """One process; output to `{name}.out`, errors to `{name}.log`, both in `logs`."""

    name: str
    command: Sequence[str]
    logs: Path
    environment: Mapping[str, str]
    directory: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start it; output of an earlier run is kept in the log, not in the output."""
        with (self.logs / f"{self.name}.out").open("wb") as out, (self.logs / f"{self.name}.log").open("ab") as err:
            self._process = subprocess.Popen(
                list(self.command),
                cwd=self.directory,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def ready(self, timeout_s: float = START_S) -> dict[str, Any]:
        """The JSON line by which it says that it serves. Raises StartError when it ends or takes too long."""
        ending = time.monotonic() + timeout_s
        while time.monotonic() < ending:
            first = (self.logs / f"{self.name}.out").read_text(errors="replace").partition("\n")
            if first[1]:
                answer: dict[str, Any] = json.loads(first[0])
                return answer
            if self.pid is None:
                raise StartError(f"{self.name} ended while starting.\n{self.log_tail()}")
            time.sleep(0.03)
        raise StartError(f"{self.name} was not ready after {timeout_s:.0f} s.\n{self.log_tail()}")

    def log_tail(self) -> str:
        """The last lines of its log."""
        log = self.logs / f"{self.name}.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "\n".join(lines[-LOG_LINES:])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and what it started."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def wait(self, until: float) -> None:
        """Wait for its end until a monotonic time, then kill it."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.05, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self._process.wait(5)


class Supervisor:
    """Starts workers again that die, as the platform does, until it is stopped."""

    def __init__(self) -> None:
        self._workers: list[Process] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self.restarts = 0

    def watch(self, workers: Sequence[Process]) -> None:
        self._workers = list(workers)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(RESTART_S):
            for worker in self._workers:
                with self._lock:
                    if worker.pid is None and not self._stop.is_set():
                        worker.start()
                        self.restarts += 1

    def stop(self) -> None:
        """No worker is started from now on."""
        with self._lock:
            self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2)


def stop_all(processes: Sequence[Process]) -> None:
    """Stop processes together: SIGTERM, then SIGKILL for those that are left after a few seconds."""
    for process in processes:
        process.signal(signal.SIGTERM)
    ending = time.monotonic() + STOP_S
    for process in processes:
        process.wait(ending)
