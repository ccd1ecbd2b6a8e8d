"""The app as it is, with a clock that tests move: how far it is ahead of the machine's stands in a file."""

import os
from datetime import datetime, timedelta
from pathlib import Path

import azure.functions as func

from functions import api, members, notifications, onboarding, operations, timers
from shared import bootstrap

AHEAD = Path(os.environ["CLOCK_AHEAD"])


class MovedClock(bootstrap.SystemClock):
    """Seconds ahead of the machine's clock; sleeping lasts as long as it says."""

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=float(AHEAD.read_text()))


bootstrap.SystemClock = MovedClock  # type: ignore[misc]

app = func.FunctionApp()

for blueprint in (operations.bp, members.bp, notifications.bp, onboarding.bp, timers.bp, api.bp):
    app.register_functions(blueprint)
