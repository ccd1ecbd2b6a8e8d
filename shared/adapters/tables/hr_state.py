"""Table `hr_states`: what HR brought about for a person, employment by employment.

PartitionKey first hex digit of the user id, RowKey userId; `body` JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any

from shared.adapters.tables.client import Tables, gather_limited
from shared.adapters.tables.packing import dump, must_be_time, time_text
from shared.adapters.tables.rows import Op, joined_body, split_body
from shared.domain.hr_state import Employment, HrState, Stamp, Statement
from shared.domain.ids import GroupId, UserId

HR_STATES = "standings"
AT_ONCE = 16
"""Rows of different partitions read at the same time."""


class TableHrStates:
    """Implements StandingStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def of_users(self, user_ids: Sequence[UserId]) -> Mapping[UserId, HrState]:
        calls = [partial(self._tables.get, HR_STATES, user_id[:1], user_id) for user_id in user_ids]
        rows = await gather_limited(calls, AT_ONCE)
        return {
            user_id: _state(user_id, json.loads(joined_body(row)), row["etag"]) if row else HrState(user_id)
            for user_id, row in zip(user_ids, rows, strict=True)
        }

    async def save(self, state: HrState) -> HrState:
        body = {name: employment_json(each) for name, each in state.employments.items()}
        row = {"PartitionKey": state.user_id[:1], "RowKey": state.user_id, **split_body(dump(body))}
        op = Op("create" if state.version is None else "replace", row, state.version)
        return replace(state, version=await self._tables.write(HR_STATES, op))


def _state(user_id: UserId, body: Mapping[str, Any], version: str) -> HrState:
    return HrState(user_id, {name: employment_of(each) for name, each in body.items()}, version)


def employment_json(employment: Employment) -> dict[str, Any]:
    return {
        "groups": sorted(employment.groups),
        "wasIn": sorted(employment.was_in),
        "profiles": sorted(employment.profiles),
        "start": _statement_json(employment.start),
        "job": _statement_json(employment.job),
        "end": _statement_json(employment.end),
        "continued": employment.continued,
    }


def employment_of(body: Mapping[str, Any]) -> Employment:
    return Employment(
        frozenset(map(GroupId, body["groups"])),
        frozenset(map(GroupId, body["wasIn"])),
        frozenset(body["profiles"]),
        _statement(body["start"]),
        _statement(body["job"]),
        _statement(body["end"]),
        body["continued"],
    )


def _statement_json(statement: Statement | None) -> list[Any] | None:
    if statement is None:
        return None
    stamp = statement.stamp
    return [statement.key, statement.day.isoformat(), stamp.source, stamp.place, time_text(stamp.received_at)]


def _statement(value: Sequence[Any] | None) -> Statement | None:
    if value is None:
        return None
    key, day, source, place, received_at = value
    return Statement(key, date.fromisoformat(day), Stamp(source, place, must_be_time(received_at)))
