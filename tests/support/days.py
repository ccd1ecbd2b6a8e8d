"""A stack whose clock tests move, the app's and the queues': hours and months pass in seconds."""

from __future__ import annotations

import json
import shutil
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local.stack import ROOT
from tests.support.stack_journeys import PATIENCE_S, Journey

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
AHEAD = "CLOCK_AHEAD"
"""Setting of the app in `moved_app`: the file that holds how many seconds its clock is ahead."""


def movable(folder: Path) -> dict[str, Any]:
    """Options of a stack for which `Days` can move the clock."""
    app, ahead = folder / "app", folder / "ahead"
    app.mkdir()
    shutil.copy(Path(__file__).parent / "moved_app" / "function_app.py", app)
    shutil.copy(ROOT / "host.json", app)
    ahead.write_text("0")
    return {"app_dir": app, "settings": {AHEAD: str(ahead)}}


@dataclass
class Days:
    """A run that was started with the options of `movable`."""

    run: Journey

    @property
    def _ahead(self) -> Path:
        return Path(self.run.stack.options.settings[AHEAD])

    @property
    def now(self) -> datetime:
        """The app's time."""
        return datetime.now(UTC) + timedelta(seconds=float(self._ahead.read_text()))

    def broker(self, path: str, body: object) -> None:
        url = f"{self.run.stack.endpoints.broker_control}{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
        urllib.request.urlopen(request, timeout=PATIENCE_S).close()

    def pass_by(self, seconds: float, timer: str = "resume_due_events") -> None:
        """Time passes while nothing is being worked on; then a timer is started, by default that of onboarding."""
        self.run.until_quiet()
        ahead = self._ahead
        new = ahead.with_suffix(".new")
        new.write_text(str(float(ahead.read_text()) + seconds))
        new.rename(ahead)
        self.broker("/clock", {"passSeconds": seconds})
        self.run.fire(timer)

    def away_from_midnight(self) -> None:
        """Time passes until one o'clock if the day ends soon: it must not end between two steps of a test."""
        now = self.now
        if now.hour >= 22:
            morning = (now + timedelta(days=1)).replace(hour=1, minute=0, second=0, microsecond=0)
            self.pass_by((morning - now).total_seconds())

    def date(self, ahead: int = 0) -> str:
        """The date so many days from the test's today."""
        return (self.now + timedelta(days=ahead)).date().isoformat()

    def skus(self, user: str) -> set[str]:
        """Part numbers of the user's licenses."""
        rows = self.run.client.tenant("GET", f"/users/{user}")["licenseAssignmentStates"]
        return {name for name, sku in self.run.skus.items() if any(row["skuId"] == sku for row in rows)}
