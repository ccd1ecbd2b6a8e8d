"""Requests, rejections, and the log of every write that the tenant carried out.

Counted here and nowhere else; a report about a run takes its figures from this place.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from local.tenant import clock
from local.tenant.call import timestamp
from local.tenant.directory.model import LicenseRow, direct_licenses


@dataclass(slots=True)
class Counters:
    """`requests` are HTTP requests, `items` single operations; `rejected` are business 4xx of writes."""

    requests: int = 0
    items: int = 0
    writes: int = 0
    throttled: int = 0
    rejected: int = 0
    unchangedWrites: int = 0  # noqa: N815 - the JSON name


class WriteEntry(NamedTuple):
    """One successful write; rows are kept as values and shown as direct licenses when asked for."""

    seq: int
    time: float
    app_id: str
    subject: str
    operation: str
    before: tuple[LicenseRow, ...] | dict[str, Any]
    after: tuple[LicenseRow, ...] | dict[str, Any]
    changed: bool


class Metrics:
    """Counters of one tenant, over all and by application, and its write log."""

    def __init__(self) -> None:
        self.log: list[WriteEntry] = []
        self._seq = 0
        self.reset()

    def reset(self) -> None:
        """All counters to nought; the write log and its sequence go on."""
        self.total = Counters()
        self.by_app: dict[str, Counters] = {}
        self.per_second: dict[int, list[int]] = {}
        self.statuses: dict[int, int] = {}
        self.first_write: float | None = None
        self.last_write: float | None = None

    def request(self, app_id: str) -> None:
        """One HTTP request arrived."""
        self.total.requests += 1
        self._app(app_id).requests += 1

    def item(self, app_id: str, status: int, is_write: bool) -> None:
        """One operation was answered."""
        app = self._app(app_id)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        for counters in (self.total, app):
            counters.items += 1
            if status == 429:
                counters.throttled += 1
            elif is_write and 200 <= status < 300:
                counters.writes += 1
            elif is_write and 400 <= status < 500:
                counters.rejected += 1
        if status == 429:
            self._second(clock.time())[1] += 1
        elif is_write and 200 <= status < 300:
            now = clock.time()
            self._second(now)[0] += 1
            self.first_write = self.first_write or now
            self.last_write = now

    def write(
        self,
        app_id: str,
        subject: str,
        operation: str,
        before: tuple[LicenseRow, ...] | dict[str, Any],
        after: tuple[LicenseRow, ...] | dict[str, Any],
        *,
        changed: bool,
        now: float,
    ) -> None:
        """Log a write that was carried out; one that changed nothing is logged and counted as such."""
        self._seq += 1
        self.log.append(WriteEntry(self._seq, now, app_id, subject, operation, before, after, changed))
        if not changed:
            self.total.unchangedWrites += 1
            self._app(app_id).unchangedWrites += 1

    def writes_after(self, seq: int, limit: int) -> list[dict[str, Any]]:
        """Entries of the log with a greater sequence number, oldest first."""
        first = self.log[0].seq if self.log else 0
        start = max(0, seq - first + 1)
        return [_entry_json(entry) for entry in self.log[start : start + limit]]

    def as_json(self) -> dict[str, Any]:
        """All counters under their JSON names."""
        return {
            **asdict(self.total),
            "byApp": {app_id: asdict(counters) for app_id, counters in self.by_app.items()},
            "perSecond": [[second, *counts] for second, counts in sorted(self.per_second.items())],
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "firstWrite": self.first_write,
            "lastWrite": self.last_write,
            "lastSeq": self._seq,
        }

    def _app(self, app_id: str) -> Counters:
        counters = self.by_app.get(app_id)
        if counters is None:
            counters = self.by_app[app_id] = Counters()
        return counters

    def _second(self, now: float) -> list[int]:
        return self.per_second.setdefault(int(now), [0, 0])


def _entry_json(entry: WriteEntry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "time": entry.time,
        "dateTime": timestamp(entry.time),
        "appId": entry.app_id,
        "userId": entry.subject,
        "operation": entry.operation,
        "before": _side_json(entry.before),
        "after": _side_json(entry.after),
        "changed": entry.changed,
    }


def _side_json(side: tuple[LicenseRow, ...] | dict[str, Any]) -> dict[str, Any]:
    return side if isinstance(side, dict) else direct_licenses(side)
