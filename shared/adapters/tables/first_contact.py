"""Table `firstcontact`: runs of the first-contact check.

PartitionKey `run`, RowKey the inverted ID, so that newer runs sort first; `body` JSON. PartitionKey `open`, RowKey the
ID of an open run; `users`: its test users, separated by commas. The row in `open` is written before the run's and
deleted after the run ended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from shared.adapters.tables.client import LAST, Tables
from shared.adapters.tables.packing import dump, inverted, must_be_time, time_of, time_text
from shared.adapters.tables.rows import Op, Row, joined_body, split_body
from shared.domain.errors import NotFound
from shared.domain.first_contact import Change, Finding, Level, Run, RunState, Subject, Verdict
from shared.domain.first_contact_recording import observation_json, observation_of

TABLE = "firstcontact"
RUN, OPEN = "run", "open"


class TableFirstContact:
    """Implements FirstContactStore."""

    def __init__(self, tables: Tables, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tables = tables
        self._monotonic = monotonic
        self._in_use: tuple[float, frozenset[str]] | None = None

    async def create(self, run: Run) -> None:
        await self._tables.write(TABLE, Op("upsert", _open(run)))
        await self._tables.write(TABLE, Op("create", _row(run)))

    async def get(self, run_id: str) -> Run | None:
        row = await self._found(run_id)
        return _run(row) if row else None

    async def load(self, run_id: str) -> tuple[Run, str]:
        row = await self._found(run_id)
        if row is None:
            raise NotFound(f"There is no first-contact run {run_id}.")
        return _run(row), row["etag"]

    async def _found(self, run_id: str) -> Row | None:
        try:
            key = inverted(run_id)
        except ValueError:
            return None
        return await self._tables.get(TABLE, RUN, key)

    async def save(self, run: Run, version: str) -> str:
        etag = await self._tables.write(TABLE, Op("replace", _row(run), version))
        if not run.state.is_open:
            await self._tables.delete(TABLE, OPEN, run.id)
        return etag

    async def open(self) -> Sequence[str]:
        return [row["RowKey"] async for row in self._tables.query(TABLE, OPEN)]

    async def close(self, run_id: str) -> None:
        await self._tables.delete(TABLE, OPEN, run_id)

    async def page(self, top: int, after: str | None) -> tuple[Sequence[Run], str | None]:
        rows, token = await self._tables.page(TABLE, RUN, "", LAST, top, after)
        return [_run(row) for row in rows], token

    async def newest(self, top: int) -> Sequence[Run]:
        return (await self.page(top, None))[0]

    async def delete_before(self, oldest: str) -> int:
        keys = [row["RowKey"] async for row in self._tables.query(TABLE, RUN, inverted(oldest), select=["RowKey"])]
        for key in keys:
            await self._tables.delete(TABLE, RUN, key)
        return len(keys)

    async def users_in_use(self, max_age_s: float) -> frozenset[str]:
        known = self._in_use
        if known is None or self._monotonic() - known[0] >= max_age_s:
            asked = self._monotonic()
            rows = [row async for row in self._tables.query(TABLE, OPEN)]
            users = frozenset(each for row in rows for each in str(row.get("users") or "").split(",") if each)
            known = self._in_use = (asked, users)
        return known[1]


def _open(run: Run) -> Row:
    return {"PartitionKey": OPEN, "RowKey": run.id, "users": ",".join(sorted(run.uses))}


def _row(run: Run) -> Row:
    body: dict[str, Any] = {
        "id": run.id,
        "level": str(run.level),
        "state": str(run.state),
        "createdAt": time_text(run.created_at),
        "step": run.step,
        "updatedAt": time_text(run.updated_at),
        "completedAt": time_text(run.completed_at),
        "leaseUntil": time_text(run.lease_until),
        "requests": run.requests,
        "writes": run.writes,
        "dirty": run.dirty,
        "fault": run.fault,
        "subject": asdict(run.subject),
        "observations": {step: observation_json(seen) for step, seen in run.observations.items()},
        "findings": [[each.number, str(each.verdict), each.position] for each in run.findings],
        "comparedWith": run.compared_with,
        "changes": [[each.number, each.before, each.after] for each in run.changes],
    }
    return {"PartitionKey": RUN, "RowKey": inverted(run.id), **split_body(dump(body))}


def _run(row: Row) -> Run:
    body = json.loads(joined_body(row))
    return Run(
        id=body["id"],
        level=Level(body["level"]),
        state=RunState(body["state"]),
        created_at=must_be_time(body["createdAt"]),
        step=body["step"],
        updated_at=time_of(body["updatedAt"]),
        completed_at=time_of(body["completedAt"]),
        lease_until=time_of(body["leaseUntil"]),
        requests=body["requests"],
        writes=body["writes"],
        dirty=body["dirty"],
        fault=body["fault"],
        subject=Subject(**{**body["subject"], "test_user_ids": tuple(body["subject"].get("test_user_ids", ()))}),
        observations={step: observation_of(seen) for step, seen in body["observations"].items()},
        findings=tuple(Finding(number, Verdict(verdict), position) for number, verdict, position in body["findings"]),
        compared_with=body["comparedWith"],
        changes=tuple(Change(*each) for each in body["changes"]),
    )
