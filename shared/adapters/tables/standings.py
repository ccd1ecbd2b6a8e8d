"""Tables `standings`, `profiles`: what HR brought about for a person, and what jobs need.

`standings`: PartitionKey first hex digit of the user's id, RowKey userId. `profiles`: PartitionKey `profile`, RowKey
name.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from shared.adapters.tables.client import Tables, gather_limited
from shared.adapters.tables.packing import (
    dump,
    licenses_json,
    licenses_of,
    must_be_time,
    time_text,
)
from shared.adapters.tables.rows import Op, Row, joined_body, split_body
from shared.domain.model import GroupId, UserId
from shared.domain.onboarding import (
    HrEventType,
    Standing,
)
from shared.domain.profiles import Profile

STANDINGS, PROFILES = "standings", "profiles"
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


class TableProfiles:
    """Implements ProfileStore."""

    def __init__(self, tables: Tables, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tables = tables
        self._monotonic = monotonic
        self._known: tuple[float, tuple[Profile, ...]] | None = None

    async def all(self, max_age_s: float = 0.0) -> tuple[Profile, ...]:
        known = self._known
        if known is None or self._monotonic() - known[0] >= max_age_s:
            read = tuple([_profile(row) async for row in self._tables.query(PROFILES, "profile")])
            known = self._known = (self._monotonic(), read)
        return known[1]

    async def save(self, profile: Profile) -> Profile:
        body = {
            "displayName": profile.display_name,
            "match": {name: list(values) for name, values in profile.match.items()},
            "groups": list(profile.groups),
            "licenses": licenses_json(profile.licenses),
            "usageLocation": profile.usage_location,
            "priority": profile.priority,
            "exclusive": profile.exclusive,
        }
        row = {"PartitionKey": "profile", "RowKey": profile.name, **split_body(dump(body))}
        op = Op("create" if profile.version is None else "replace", row, profile.version)
        saved = replace(profile, version=await self._tables.write(PROFILES, op))
        self._known = None
        return saved

    async def remove(self, name: str) -> None:
        await self._tables.delete(PROFILES, "profile", name)
        self._known = None


def _profile(row: Row) -> Profile:
    body = json.loads(joined_body(row))
    return Profile(
        name=row["RowKey"],
        display_name=body["displayName"],
        match={name: tuple(values) for name, values in body["match"].items()},
        groups=tuple(map(GroupId, body["groups"])),
        licenses=licenses_of(body["licenses"]),
        usage_location=body["usageLocation"],
        priority=body["priority"],
        exclusive=body["exclusive"],
        version=row["etag"],
    )
