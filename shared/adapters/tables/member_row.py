"""The row format of table `members`.

PartitionKey groupId. RowKey `m-{userId}`: a member; `e-{userId}`: the same row again, only while a person is needed.
Properties: `state`, `upn`, `name`, `skuIds` (texts), `body` (JSON, see `_body`). RowKey `c-{hex digit}`: how many
members with an id that begins with the digit are in which state, as numbers by key (`body`, JSON, see
`domain/member_counts.py`).

PartitionKey `left-{hex digit}`, RowKey `{userId}_{groupId}`: the user has left the group and has a row there. The digit
is the first one of the user's ID. All other groups with a row of a user are among the groups that the user is in.

PartitionKey `changed`, RowKey groupId: the counts of the group changed at `at` or soon after it.
"""

from __future__ import annotations

import json
from typing import Any

from shared.adapters.tables.packing import dump, must_be_time, problems_json, problems_of, time_of, time_text
from shared.adapters.tables.rows import Row, joined_body, split_body
from shared.domain.assignment import Engine
from shared.domain.ids import GroupId, OperationId, SkuId, UserId
from shared.domain.member_status import MemberState
from shared.domain.read_models import Diagnosis, MemberRow
from shared.domain.snapshot_pages import partition_of

TABLE = "members"
MEMBER, ERROR, COUNTER = "m-", "e-", "c-"
CHANGED = "changed"
LEFT = "left-"
DIGITS = "0123456789abcdef"
"""One counter for each: members of two digits are written side by side."""


def row_of(member: MemberRow, prefix: str) -> Row:
    return {
        "PartitionKey": member.group_id,
        "RowKey": f"{prefix}{member.user_id}",
        "state": str(member.state),
        "upn": member.user_principal_name,
        "name": member.display_name,
        "skuIds": ",".join(member.sku_ids),
        **split_body(dump(_body(member))),
    }


def left_row(group_id: GroupId, user_id: UserId) -> Row:
    """The row that names a group which the user has left."""
    return {"PartitionKey": f"{LEFT}{partition_of(user_id)}", "RowKey": f"{user_id}_{group_id}"}


def sku_ids_of(text: str) -> tuple[SkuId, ...]:
    return tuple(map(SkuId, text.split(","))) if text else ()


def _body(member: MemberRow) -> dict[str, Any]:
    body = {
        "at": time_text(member.updated_at),
        "problems": problems_json(member.problems),
        "notes": list(member.notes),
        "attempts": member.attempts,
        "next": time_text(member.next_check_at),
        "since": time_text(member.waiting_since),
        "removal": time_text(member.removal_at),
        "operation": member.operation_id,
        "left": member.left,
        "stateSince": time_text(member.since) if member.since != member.updated_at else None,
        "engine": str(member.engine) if member.engine is not Engine.DIRECT else None,
        "diagnosis": [member.diagnosis.text, time_text(member.diagnosis.at)] if member.diagnosis else None,
    }
    return {name: value for name, value in body.items() if value}


def member_of(row: Row) -> MemberRow:
    body = json.loads(joined_body(row))
    updated_at = time_of(body["at"])
    if updated_at is None:
        raise ValueError(f"member row {row['RowKey']} has no time")
    return MemberRow(
        group_id=GroupId(row["PartitionKey"]),
        user_id=UserId(row["RowKey"][len(MEMBER) :]),
        user_principal_name=row["upn"],
        display_name=row["name"],
        state=MemberState(row["state"]),
        updated_at=updated_at,
        problems=problems_of(body.get("problems", ())),
        notes=tuple(body.get("notes", ())),
        sku_ids=sku_ids_of(row["skuIds"]) if "skuIds" in row else tuple(map(SkuId, body.get("skus", ()))),
        attempts=body.get("attempts", 0),
        next_check_at=time_of(body.get("next")),
        waiting_since=time_of(body.get("since")),
        removal_at=time_of(body.get("removal")),
        operation_id=OperationId(body["operation"]) if body.get("operation") else None,
        left=body.get("left", False),
        engine=Engine(body.get("engine", Engine.DIRECT)),
        diagnosis=_diagnosis(body.get("diagnosis")),
        since=time_of(body.get("stateSince")) or updated_at,
    )


def _diagnosis(value: list[str] | None) -> Diagnosis | None:
    return Diagnosis(value[0], must_be_time(value[1])) if value else None
