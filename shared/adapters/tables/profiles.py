"""Table `profiles`: what each job brings.

PartitionKey `profile` or `proposal`, RowKey name; `body` JSON. PartitionKey `former`, RowKey `use`: what HR used when
this version first ran, insert-only. PartitionKey `units`, RowKey `groups`: groups of administrative units, as last
read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import (
    dump,
    initiator_json,
    initiator_of,
    licenses_json,
    licenses_of,
    must_be_time,
    time_of,
    time_text,
)
from shared.adapters.tables.rows import Op, Row, joined_body, split_body
from shared.domain.errors import Conflict
from shared.domain.hr_groups import FormerUse, UnitGroups
from shared.domain.ids import GroupId
from shared.domain.profile_changes import Proposal
from shared.domain.profiles import Profile

PROFILES = "profiles"


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
        row = {"PartitionKey": "profile", "RowKey": profile.name, **split_body(dump(_body(profile)))}
        op = Op("create" if profile.version is None else "replace", row, profile.version)
        saved = replace(profile, version=await self._tables.write(PROFILES, op))
        self._known = None
        return saved

    async def proposals(self) -> tuple[Proposal, ...]:
        return tuple([_proposal(row) async for row in self._tables.query(PROFILES, "proposal")])

    async def propose(self, proposal: Proposal) -> Proposal:
        body = {
            "profile": _body(proposal.profile),
            "by": initiator_json(proposal.by),
            "at": time_text(proposal.at),
            "base": proposal.base,
            "deletes": proposal.deletes,
        }
        row = {"PartitionKey": "proposal", "RowKey": proposal.profile.name, **split_body(dump(body))}
        return replace(proposal, version=await self._tables.write(PROFILES, Op("upsert", row)))

    async def withdraw(self, proposal: Proposal) -> None:
        row = {"PartitionKey": "proposal", "RowKey": proposal.profile.name}
        await self._tables.write(PROFILES, Op("delete", row, proposal.version))

    async def remove(self, profile: Profile) -> None:
        row = {"PartitionKey": "profile", "RowKey": profile.name}
        await self._tables.write(PROFILES, Op("delete", row, profile.version))
        self._known = None

    async def unit_groups(self) -> UnitGroups:
        row = await self._tables.get(PROFILES, "units", "groups")
        if row is None:
            return UnitGroups()
        body = json.loads(joined_body(row))
        return UnitGroups(
            frozenset(body["units"]),
            frozenset(map(GroupId, body["groups"])),
            time_of(body["readAt"]),
            time_of(body["triedAt"]),
            body["fault"],
        )

    async def keep_unit_groups(self, found: UnitGroups) -> None:
        body = {
            "units": sorted(found.units),
            "groups": sorted(found.groups),
            "readAt": time_text(found.read_at),
            "triedAt": time_text(found.tried_at),
            "fault": found.fault,
        }
        row = {"PartitionKey": "units", "RowKey": "groups", **split_body(dump(body))}
        await self._tables.write(PROFILES, Op("upsert", row))

    async def former_use(self) -> FormerUse | None:
        row = await self._tables.get(PROFILES, "former", "use")
        if row is None:
            return None
        body = json.loads(joined_body(row))
        senders = frozenset((source, sender) for source, sender in body["senders"])
        return FormerUse(must_be_time(body["foundAt"]), frozenset(map(GroupId, body["groups"])), senders)

    async def keep_former_use(self, found: FormerUse) -> FormerUse:
        senders = sorted(map(list, found.senders))
        body = {"foundAt": time_text(found.found_at), "groups": sorted(found.groups), "senders": senders}
        row = {"PartitionKey": "former", "RowKey": "use", **split_body(dump(body))}
        with suppress(Conflict):
            await self._tables.write(PROFILES, Op("create", row))
            return found
        return await self.former_use() or found


def _body(profile: Profile) -> dict[str, Any]:
    return {
        "displayName": profile.display_name,
        "match": {name: list(values) for name, values in profile.match.items()},
        "groups": list(profile.groups),
        "licenses": licenses_json(profile.licenses),
        "usageLocation": profile.usage_location,
        "priority": profile.priority,
        "exclusive": profile.exclusive,
        "selectable": profile.selectable,
    }


def _proposal(row: Row) -> Proposal:
    body = json.loads(joined_body(row))
    profile = _read(row["RowKey"], body["profile"], None)
    by, at = initiator_of(body["by"]), must_be_time(body["at"])
    return Proposal(profile, by, at, body["base"], row["etag"], deletes=body.get("deletes", False))


def _profile(row: Row) -> Profile:
    return _read(row["RowKey"], json.loads(joined_body(row)), row["etag"])


def _read(name: str, body: Mapping[str, Any], version: str | None) -> Profile:
    return Profile(
        name=name,
        display_name=body["displayName"],
        match={name: tuple(values) for name, values in body["match"].items()},
        groups=tuple(map(GroupId, body["groups"])),
        licenses=licenses_of(body["licenses"]),
        usage_location=body["usageLocation"],
        priority=body["priority"],
        exclusive=body["exclusive"],
        selectable=body.get("selectable", False),
        version=version,
    )
