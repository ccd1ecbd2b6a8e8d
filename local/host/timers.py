"""The timer trigger: six-field schedules, and the host's manual start of a function."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path

from croniter import croniter

from local.host.invoking import invoke, timer_request
from local.host.metadata import Function

log = logging.getLogger("local.host.timers")


async def run_timer(function: Function, directory: Path) -> None:
    """Invoke the function at each time of its schedule (NCRONTAB: seconds first)."""
    schedule = croniter(str(function.trigger["schedule"]), time.time(), second_at_beginning=True)
    while True:
        at = schedule.get_next(float)
        await asyncio.sleep(max(0.0, at - time.time()))
        await fire(function, directory)


async def fire(function: Function, directory: Path) -> bool:
    """One invocation; a failure is logged. Returns whether it succeeded."""
    try:
        await invoke(function, timer_request(past_due=False), directory)
    except Exception:  # the boundary of an invocation: whatever the app raises ends this one only
        log.exception("%s failed", function.name)
        return False
    return True


def timers_of(functions: Iterable[Function]) -> list[Function]:
    """The timers to run; one that is disabled still runs when it is started by hand
    (learn.microsoft.com/azure/azure-functions/disable-function)."""
    return [each for each in functions if each.kind == "timerTrigger" and not _is_disabled(each.name)]


def _is_disabled(name: str) -> bool:
    wanted = {f"AzureWebJobs.{name}.Disabled", f"AzureWebJobs__{name}__Disabled"}
    return any(os.environ.get(key, "").lower() in ("true", "1") for key in wanted)
