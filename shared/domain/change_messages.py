"""Messages of the queue `notifications`: where to look because something has changed, or may have.

One type per cause; bodies are JSON, UTF-8. Like all messages they carry no authority.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.domain.errors import PoisonMessage
from shared.domain.ids import GroupId, UserId
from shared.domain.membership_changes import GroupChange, LifecycleEvent, guid
from shared.domain.messages import load_object, moment

MAX_MEMBERS = 2000
"""Member ids of one message: 80 KB, well below the 256 KB of Service Bus Standard
(learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas)."""

VERSION = 1


@dataclass(frozen=True, slots=True)
class GroupsChanged:
    """Groups whose members came or went, at about `at`."""

    changes: tuple[GroupChange, ...]
    at: datetime
    cause: str = "notification"
    traceparent: str = ""

    def encode(self) -> bytes:
        changes = [
            {"id": change.group_id, "deleted": change.deleted, "members": dict(change.members)}
            for change in self.changes
        ]
        return _dump("groupsChanged", changes=changes, at=self.at.isoformat(), cause=self.cause, trace=self.traceparent)


@dataclass(frozen=True, slots=True)
class LifecycleHappened:
    """Graph sent a lifecycle notification about a subscription."""

    subscription_id: str
    event: LifecycleEvent

    def encode(self) -> bytes:
        return _dump("lifecycle", subscriptionId=self.subscription_id, event=str(self.event))


@dataclass(frozen=True, slots=True)
class ReadDelta:
    """Read what has changed in the groups of a slice since the last time. `asked_at`: when the timer asked."""

    number: int
    asked_at: datetime | None = None

    def encode(self) -> bytes:
        asked = {"askedAt": self.asked_at.isoformat()} if self.asked_at else {}
        return _dump("readDelta", number=self.number, **asked)


@dataclass(frozen=True, slots=True)
class SyncGroup:
    """Start a sync of a group as soon as no older operation is open on it. `at`: what makes a repeat the same one."""

    group_id: GroupId
    cause: str
    asked_at: datetime
    at: datetime | None = None

    def encode(self) -> bytes:
        at = {"at": self.at.isoformat()} if self.at else {}
        return _dump("syncGroup", groupId=self.group_id, cause=self.cause, askedAt=self.asked_at.isoformat(), **at)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Look for people whom no group accounts for, in one partition of the ledger; `at` names the run."""

    partition: str
    at: datetime

    def encode(self) -> bytes:
        return _dump("sweep", partition=self.partition, at=self.at.isoformat())


@dataclass(frozen=True, slots=True)
class WatchGroup:
    """Read members of a group that Microsoft's licensing licenses: all, those with an error, or the named ones."""

    group_id: GroupId
    asked_at: datetime
    errors_only: bool = False
    members: tuple[UserId, ...] = ()

    def encode(self) -> bytes:
        more = {"errorsOnly": True} if self.errors_only else {}
        named = {"members": list(self.members)} if self.members else {}
        return _dump("watchGroup", groupId=self.group_id, askedAt=self.asked_at.isoformat(), **more, **named)


@dataclass(frozen=True, slots=True)
class ReprocessErrors:
    """Have Microsoft's licensing process members of a group again who have an error. `began`: of the run; members that
    were processed since are left out. `done`, `failed`: how many were processed, and how many still have an error."""

    group_id: GroupId
    run: str
    began: datetime
    error: str = ""
    sku_id: str = ""
    done: int = 0
    failed: int = 0

    def encode(self) -> bytes:
        return _dump(
            "reprocessErrors",
            groupId=self.group_id,
            run=self.run,
            began=self.began.isoformat(),
            error=self.error,
            skuId=self.sku_id,
            done=self.done,
            failed=self.failed,
        )


ChangeMessage = GroupsChanged | LifecycleHappened | ReadDelta | SyncGroup | Sweep | WatchGroup | ReprocessErrors


def split(changes: Sequence[GroupChange], at: datetime, cause: str, traceparent: str = "") -> Iterator[GroupsChanged]:
    """Messages for the changes, each with at most MAX_MEMBERS ids; a bigger change is cut."""
    waiting: list[GroupChange] = []
    size = 0
    for change in changes:
        for part in _parts(change):
            if waiting and size + len(part.members) > MAX_MEMBERS:
                yield GroupsChanged(tuple(waiting), at, cause, traceparent)
                waiting, size = [], 0
            waiting.append(part)
            size += len(part.members) + 1
    if waiting:
        yield GroupsChanged(tuple(waiting), at, cause, traceparent)


def _parts(change: GroupChange) -> Iterator[GroupChange]:
    members = sorted(change.members.items())
    for start in range(0, max(1, len(members)), MAX_MEMBERS):
        yield GroupChange(change.group_id, dict(members[start : start + MAX_MEMBERS]), change.deleted)


def decode_change(body: bytes) -> ChangeMessage:
    """A message of the queue `notifications`. Raises PoisonMessage for anything else."""
    fields = load_object(body, "notifications message")
    try:
        return _decoded(fields)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as fault:
        reason = f"{fault.args[0]} is missing" if isinstance(fault, KeyError) else str(fault)
        raise PoisonMessage(f"notifications message: {reason}") from fault


def _decoded(fields: dict[str, Any]) -> ChangeMessage:
    match fields["type"]:
        case "groupsChanged":
            changes = tuple(_change(each) for each in fields["changes"])
            return GroupsChanged(changes, moment(fields["at"]), str(fields["cause"]), str(fields.get("trace") or ""))
        case "lifecycle":
            return LifecycleHappened(str(fields["subscriptionId"]), LifecycleEvent(fields["event"]))
        case "readDelta":
            return ReadDelta(int(fields["number"]), moment(fields["askedAt"]) if "askedAt" in fields else None)
        case "syncGroup":
            at = moment(fields["at"]) if "at" in fields else None
            return SyncGroup(GroupId(guid(fields["groupId"])), str(fields["cause"]), moment(fields["askedAt"]), at)
        case "sweep":
            partition = str(fields["partition"])
            if partition not in tuple("0123456789abcdef"):
                raise ValueError(f"partition {partition!r} is no hex digit")
            return Sweep(partition, moment(fields["at"]))
        case "watchGroup":
            named = tuple(UserId(guid(each)) for each in fields.get("members", ()))
            whole = not fields.get("errorsOnly", False)
            return WatchGroup(GroupId(guid(fields["groupId"])), moment(fields["askedAt"]), not whole, named)
        case "reprocessErrors":
            done, failed = int(fields["done"]), int(fields["failed"])
            group_id, began = GroupId(guid(fields["groupId"])), moment(fields["began"])
            error, sku_id = str(fields["error"]), str(fields["skuId"])
            return ReprocessErrors(group_id, str(fields["run"]), began, error, sku_id, done, failed)
        case other:
            raise ValueError(f"type {str(other)[:64]!r} is unknown")


def _change(value: dict[str, Any]) -> GroupChange:
    members = {UserId(guid(member)): None if came is None else bool(came) for member, came in value["members"].items()}
    return GroupChange(GroupId(guid(value["id"])), members, bool(value["deleted"]))


def _dump(kind: str, **fields: object) -> bytes:
    return json.dumps({"v": VERSION, "type": kind, **fields}, separators=(",", ":")).encode()
