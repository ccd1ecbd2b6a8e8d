"""Table `deadletters`: messages that could not be processed, and acts on many of them.

PartitionKey `dead_letter`, RowKey the id with its 12 leading digits of time inverted, so that the newest come first;
`queue`, `kind`, `reason`, `at`, `size`, `data0`.. the message. Acts: PartitionKey `bulk`, RowKey of the same form;
`body` JSON. PartitionKey `bulkopen`: index of the acts that are not complete; written first, deleted last.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from shared.adapters.tables.client import LAST, Tables
from shared.adapters.tables.packing import (
    dump,
    initiator_json,
    initiator_of,
    inverted,
    must_be_time,
    time_of,
    time_text,
)
from shared.adapters.tables.rows import MAX_TEXT, Op, Row, is_key, joined_body, joined_bytes, split_body, split_bytes
from shared.domain.dead_letters import EVERY_DEAD_LETTER, BulkAct, BulkKind, DeadLetterSelection
from shared.domain.errors import BadRequest
from shared.domain.ids import new_id
from shared.domain.read_models import DeadLetter, DeadLetterKind

DEAD_LETTERS = "deadletters"
LETTER, BULK, OPEN = "letter", "bulk", "bulkopen"
MAX_DEAD_LETTER = 600_000
"""Bytes of a dead letter's body that are kept: a message has at most 256 KB, a row 1 MiB."""

MOST_READ = 2000
"""Letters that one page reads while it looks for those that a filter lets pass."""

COUNTED = 100_000
"""Letters are counted up to this number: 100 answers of the service, a few seconds."""


class TableDeadLetters:
    """Implements DeadLetterStore."""

    def __init__(self, tables: Tables, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tables = tables
        self._monotonic = monotonic
        self._counted: tuple[float, int] | None = None

    async def keep(self, dead_letter: DeadLetter) -> None:
        row = {
            "PartitionKey": LETTER,
            "RowKey": inverted(dead_letter.id),
            "queue": dead_letter.queue,
            "kind": str(dead_letter.kind),
            "reason": dead_letter.reason[:MAX_TEXT],
            "at": time_text(dead_letter.at),
            "id": dead_letter.id,
            "size": len(dead_letter.body),
            **split_bytes("data", dead_letter.body[:MAX_DEAD_LETTER]),
        }
        await self._tables.write(DEAD_LETTERS, Op("upsert", row))

    async def page(
        self, top: int, after: str | None = None, wanted: DeadLetterSelection = EVERY_DEAD_LETTER
    ) -> tuple[tuple[DeadLetter, ...], str | None]:
        if after and not is_key(after):
            raise BadRequest("InvalidSkipToken", "$skiptoken is not from an earlier answer.", "$skiptoken")
        first = _place(wanted.until) if wanted.until else ""
        first = max(first, f"{after}\x21") if after else first
        last = f"{_place(wanted.since)}{LAST}" if wanted.since else LAST
        equal = {name: value for name, value in (("queue", wanted.queue), ("kind", wanted.kind)) if value}
        found: list[DeadLetter] = []
        read, place = 0, ""
        async for row in self._tables.query(DEAD_LETTERS, LETTER, first, last, equal=equal):
            if len(found) == top or read == MOST_READ:
                return tuple(found), place
            read, place = read + 1, row["RowKey"]
            dead_letter = _one_dead_letter(row)
            if wanted.lets_pass(dead_letter):
                found.append(dead_letter)
        return tuple(found), None

    async def count(self, max_age_s: float = 0.0) -> int:
        known = self._counted
        if known is None or self._monotonic() - known[0] >= max_age_s:
            number = 0
            async for _ in self._tables.query(DEAD_LETTERS, LETTER, select=("RowKey",)):
                number += 1
                if number == COUNTED:
                    break
            known = self._counted = (self._monotonic(), number)
        return known[1]

    async def get(self, dead_letter_id: str) -> DeadLetter | None:
        row = await self._tables.get(DEAD_LETTERS, LETTER, inverted(dead_letter_id))
        return _one_dead_letter(row) if row else None

    async def remove(self, dead_letter_id: str) -> None:
        await self._tables.delete(DEAD_LETTERS, LETTER, inverted(dead_letter_id))
        self._counted = None

    async def forget(self, kept_before: datetime) -> int:
        return await self._tables.clear(DEAD_LETTERS, LETTER, _place(kept_before - timedelta(milliseconds=1)))

    async def begin(self, act: BulkAct) -> BulkAct:
        await self._tables.write(DEAD_LETTERS, Op("upsert", {"PartitionKey": OPEN, "RowKey": inverted(act.id)}))
        return replace(act, version=await self._tables.write(DEAD_LETTERS, Op("create", _act_row(act))))

    async def save_act(self, act: BulkAct) -> BulkAct:
        saved = replace(act, version=await self._tables.write(DEAD_LETTERS, Op("replace", _act_row(act), act.version)))
        if not act.is_open:
            await self._tables.delete(DEAD_LETTERS, OPEN, inverted(act.id))
        return saved

    async def act(self, act_id: str) -> BulkAct | None:
        row = await self._tables.get(DEAD_LETTERS, BULK, inverted(act_id))
        return _act(row) if row else None

    async def acts(self, top: int, after: str | None = None) -> tuple[tuple[BulkAct, ...], str | None]:
        rows, token = await self._tables.page(DEAD_LETTERS, BULK, "", LAST, top, after)
        return tuple(map(_act, rows)), token

    async def open_acts(self) -> tuple[BulkAct, ...]:
        keys = [row["RowKey"] async for row in self._tables.query(DEAD_LETTERS, OPEN)]
        rows = [await self._tables.get(DEAD_LETTERS, BULK, key) for key in keys]
        return tuple(act for act in (_act(row) for row in rows if row) if act.is_open)


def _place(at: datetime) -> str:
    """Where in the list a time is: what was kept at it or before comes from there on."""
    return inverted(new_id(at, ""))


def _one_dead_letter(row: Row) -> DeadLetter:
    body, at = joined_bytes(row, "data"), must_be_time(row["at"])
    whole = row["size"] == len(body)
    return DeadLetter(row["id"], row["queue"], body, row["reason"], at, whole=whole, kind=DeadLetterKind(row["kind"]))


def _act_row(act: BulkAct) -> Row:
    wanted = act.wanted
    body = {
        "id": act.id,
        "kind": str(act.kind),
        "wanted": [wanted.queue, wanted.kind, wanted.text, time_text(wanted.since), time_text(wanted.until)],
        "initiator": initiator_json(act.initiator),
        "createdAt": time_text(act.created_at),
        "progressAt": time_text(act.progress_at),
        "step": act.step,
        "doing": list(act.doing),
        "after": act.after,
        "done": act.done,
        "left": act.left,
        "completedAt": time_text(act.completed_at),
    }
    return {"PartitionKey": BULK, "RowKey": inverted(act.id), **split_body(dump(body))}


def _act(row: Row) -> BulkAct:
    body = json.loads(joined_body(row))
    queue, kind, text, since, until = body["wanted"]
    return BulkAct(
        id=body["id"],
        kind=BulkKind(body["kind"]),
        wanted=DeadLetterSelection(queue, kind, text, time_of(since), time_of(until)),
        initiator=initiator_of(body["initiator"]),
        created_at=must_be_time(body["createdAt"]),
        progress_at=must_be_time(body["progressAt"]),
        step=body["step"],
        doing=tuple(body["doing"]),
        after=body["after"],
        done=body["done"],
        left=body["left"],
        completed_at=time_of(body["completedAt"]),
        version=row["etag"],
    )
