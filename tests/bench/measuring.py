"""Figures of processes: CPU and memory from /proc, import time from fresh interpreters."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from local.stack import ROOT, Stack

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """User and system seconds of a process (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mib(pid: int) -> float:
    """Largest resident size a process has had."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def function_pids(stack: Stack) -> list[int]:
    """The workers of the queue functions and timers; the HTTP worker serves the bench's own polling."""
    return [pid for function in stack.functions if function != "http" for pid in stack.workers(function)]


def idle_cpu(stack: Stack, seconds: float = 8.0) -> float:
    """CPU seconds per second that the workers use while there is nothing to do, mostly polling of the local host."""
    pids = function_pids(stack)
    time.sleep(5)
    before = total_cpu_s(pids)
    time.sleep(seconds)
    return round((total_cpu_s(pids) - before) / seconds, 3)


def total_cpu_s(pids: Iterable[int]) -> float:
    return sum(cpu_s(pid) for pid in pids)


def import_seconds(times: int = 5) -> float:
    """Median time to import the function app in a fresh interpreter, less that of an empty one; .pyc files exist."""

    def once(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
        return time.perf_counter() - began

    once("import function_app")
    return statistics.median(once("import function_app") for _ in range(times)) - statistics.median(
        once("pass") for _ in range(times)
    )
