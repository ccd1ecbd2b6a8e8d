"""Table `standings`: what HR brought about for a person.

PartitionKey first hex digit of the user id, RowKey userId; `body` JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from shared.adapters.tables.client import Tables, gather_limited
from shared.adapters.tables.packing import dump, must_be_time, time_text
from shared.adapters.tables.rows import Op, joined_body, split_body
from shared.domain.ids import GroupId, UserId
from shared.domain.onboarding import HrEventType, Standing

STANDINGS = "standings"
AT_ONCE = 16
"""Rows of different partitions read at the same time."""


class TableStandings:
    """Implements StandingStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def of_users(self, user_ids: Sequence[UserId]) -> Mapping[UserId, Standing]:
        calls = [partial(self._tables.get, STANDINGS, user_id[:1], user_id) for user_id in user_ids]
        rows = await gather_limited(calls, AT_ONCE)
        return {
            user_id: standing_of(user_id, json.loads(joined_body(row)), row["etag"]) if row else Standing(user_id)
            for user_id, row in zip(user_ids, rows, strict=True)
        }

    async def save(self, standing: Standing) -> Standing:
        body = standing_json(standing)
        row = {"PartitionKey": standing.user_id[:1], "RowKey": standing.user_id, **split_body(dump(body))}
        op = Op("create" if standing.version is None else "replace", row, standing.version)
        return replace(standing, version=await self._tables.write(STANDINGS, op))


def standing_json(standing: Standing) -> dict[str, Any]:
    order = standing.last_order
    return {
        "groups": sorted(standing.groups),
        "wasIn": sorted(standing.was_in),
        "lastKey": standing.last_key,
        "lastType": standing.last_type,
        "lastOrder": [time_text(order[0]), order[1], *map(time_text, order[2:])] if order else None,
    }


def standing_of(user_id: UserId, body: Mapping[str, Any], version: str | None) -> Standing:
    """An order that was stored before it had a fourth part ends with its third once more."""
    order = body["lastOrder"]
    return Standing(
        user_id,
        frozenset(map(GroupId, body["groups"])),
        frozenset(map(GroupId, body.get("wasIn", ()))),
        body["lastKey"],
        HrEventType(body["lastType"]) if body["lastType"] else None,
        (must_be_time(order[0]), order[1], must_be_time(order[2]), must_be_time(order[-1])) if order else None,
        version,
    )
