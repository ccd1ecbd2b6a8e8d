"""Messages between the queue functions, and those other systems send to `jobs`: fields, encode, decode, message id.

A message carries no authority: it says where to look. Versions one release back stay readable. Bodies are JSON, UTF-8.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.domain.errors import PoisonMessage
from shared.domain.ids import GroupId, OperationId, UserId
from shared.domain.membership_changes import guid

JOBS = "jobs"
OPERATIONS = "operations"
OPERATIONS_BULK = "operations-bulk"
STEPS = (OPERATIONS, OPERATIONS_BULK)
"""Queues of steps: snapshots of many users have their own, so that a small request does not wait for them."""
MEMBERS = "members"
MEMBERS_BULK = "members-bulk"
NOTIFICATIONS = "notifications"
ONBOARDING = "onboarding"
RESULTS = "results"

FIRST_YEAR, LAST_YEAR = 2000, 2200
"""Times outside are no times of this system's messages."""

MAX_USERS = 20
"""Users one message may name: Graph's limit for one $batch (learn.microsoft.com/graph/json-batching)."""

MOST_WRITES = 2 * MAX_USERS
"""Of one message: a usage location and the licenses of each user."""


@dataclass(frozen=True, slots=True)
class OperationStep:
    """Take the next step of an operation. One with an older `run` or `step` than the row returns."""

    operation_id: OperationId
    step: int
    run: int
    traceparent: str = ""

    @property
    def message_id(self) -> str:
        return f"{self.operation_id}-step-{self.step}-{self.run}"

    def encode(self) -> bytes:
        return _dump(
            {
                "v": 1,
                "type": "operationStep",
                "operationId": self.operation_id,
                "step": self.step,
                "run": self.run,
                "traceparent": self.traceparent,
            }
        )


@dataclass(frozen=True, slots=True)
class ProcessUsers:
    """Reconcile these users: a chunk of an operation, or users that an event named.

    `send` rises with every re-send of any kind and `run` with each resume, replay or watchdog, so that duplicate
    detection never drops real work. `attempts`: by user, as `domain.retry` counts them. `expects`: groups to which a
    user was added (True) or from which the user was removed (False) at `changed_at`, by the event that names the user.
    `writes`: the expected number of writes, 0 if unknown. For bulk work they are reserved before its users are read.
    """

    user_ids: tuple[UserId, ...]
    cause: str
    bulk: bool
    operation_id: OperationId | None = None
    page: int = 0
    chunk: int = 0
    run: int = 0
    send: int = 0
    attempts: Mapping[UserId, int] = field(default_factory=dict)
    first_sent_at: datetime | None = None
    intent_versions: Mapping[GroupId, int] = field(default_factory=dict)
    traceparent: str = ""
    expects: Mapping[UserId, Mapping[GroupId, bool]] = field(default_factory=dict)
    changed_at: datetime | None = None
    writes: int = 0

    @property
    def queue(self) -> str:
        return MEMBERS_BULK if self.bulk else MEMBERS

    @property
    def message_id(self) -> str | None:
        """Stable for chunks of an operation; None for events, whose processing is idempotent anyway.

        Users who go back at different times are different messages of the same send, so the users are part of the id.
        """
        if self.operation_id is None:
            return None
        users = hashlib.sha256("".join(self.user_ids).encode()).hexdigest()[:8]
        return f"{self.operation_id}-{self.page}-{self.chunk}-{self.run}-{self.send}-{users}"

    def encode(self) -> bytes:
        return _dump(
            {
                "v": 1,
                "type": "processUsers",
                "userIds": list(self.user_ids),
                "cause": self.cause,
                "bulk": self.bulk,
                "operationId": self.operation_id,
                "page": self.page,
                "chunk": self.chunk,
                "run": self.run,
                "send": self.send,
                "attempts": dict(self.attempts),
                "firstSentAt": self.first_sent_at.isoformat() if self.first_sent_at else None,
                "intentVersions": dict(self.intent_versions),
                "traceparent": self.traceparent,
                **({"expects": {user: dict(groups) for user, groups in self.expects.items()}} if self.expects else {}),
                **({"changedAt": self.changed_at.isoformat()} if self.changed_at else {}),
                **({"writes": self.writes} if self.writes else {}),
            }
        )


def _dump(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def load_object(body: bytes, what: str) -> dict[str, Any]:
    """The JSON object in a message body.

    Raises PoisonMessage naming `what` when the body is not one.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as fault:
        raise PoisonMessage(f"{what}: the body is not JSON ({fault})") from fault
    if not isinstance(value, dict):
        raise PoisonMessage(f"{what}: the body must be a JSON object, not {type(value).__name__}")
    if b"\\ud" in body.lower() and not _is_unicode(value):
        raise PoisonMessage(f"{what}: the body has half of a surrogate pair, which is no text")
    return value


def _is_unicode(value: object) -> bool:
    """Whether every text in it can be written as UTF-8; JSON may escape halves of characters, which cannot."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def decode_operation_step(body: bytes) -> OperationStep:
    """An operation's step message. Raises PoisonMessage for anything else."""
    fields = load_object(body, "operations message")
    try:
        return OperationStep(
            operation_id=OperationId(_text(fields, "operationId")),
            step=int(fields["step"]),
            run=int(fields["run"]),
            traceparent=str(fields.get("traceparent") or ""),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as fault:
        raise PoisonMessage(f"operations message: {_reason(fault)}") from fault


def decode_process_users(body: bytes) -> ProcessUsers:
    """A members message. Raises PoisonMessage for anything else, also for more than 20 users."""
    fields = load_object(body, "members message")
    try:
        operation_id = fields.get("operationId")
        return ProcessUsers(
            user_ids=_user_ids(fields["userIds"]),
            cause=_text(fields, "cause"),
            bulk=bool(fields["bulk"]),
            operation_id=OperationId(str(operation_id)) if operation_id else None,
            page=int(fields.get("page", 0)),
            chunk=int(fields.get("chunk", 0)),
            run=int(fields.get("run", 0)),
            send=int(fields.get("send", 0)),
            attempts={UserId(guid(k)): int(v) for k, v in dict(fields.get("attempts") or {}).items()},
            first_sent_at=moment(fields["firstSentAt"]) if fields.get("firstSentAt") else None,
            intent_versions={GroupId(guid(k)): int(v) for k, v in dict(fields.get("intentVersions") or {}).items()},
            traceparent=str(fields.get("traceparent") or ""),
            expects=_expects(fields.get("expects") or {}),
            changed_at=moment(fields["changedAt"]) if fields.get("changedAt") else None,
            writes=_number_of_writes(fields.get("writes", 0)),
        )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as fault:
        raise PoisonMessage(f"members message: {_reason(fault)}") from fault


def _expects(fields: Mapping[str, Any]) -> dict[UserId, dict[GroupId, bool]]:
    return {
        UserId(guid(user)): {GroupId(guid(group)): bool(came) for group, came in groups.items()}
        for user, groups in fields.items()
    }


def _number_of_writes(value: Any) -> int:
    number = int(value)
    if not 0 <= number <= MOST_WRITES:
        raise ValueError(f"writes is {number}, must be 0 to {MOST_WRITES}")
    return number


def _user_ids(values: Any) -> tuple[UserId, ...]:
    if not isinstance(values, list):
        raise ValueError("userIds must be a list of ids")
    if not 0 < len(values) <= MAX_USERS:
        raise ValueError(f"userIds holds {len(values)} ids, must be 1 to {MAX_USERS}")
    return tuple(dict.fromkeys(UserId(guid(value)) for value in values))


def moment(text: str) -> datetime:
    """A time in a message. Raises ValueError for one without a zone, and for one so far away that computing with it
    would leave the calendar."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"time {text} has no time zone")
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise ValueError(f"time {text} is not between {FIRST_YEAR} and {LAST_YEAR}")
    return time


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a text that is not empty")
    return value


def _reason(fault: Exception) -> str:
    return f"{fault.args[0]} is missing" if isinstance(fault, KeyError) else str(fault)


SMALL = 100
"""Changes and operations of at most this many users run in the interactive lane, so that they do not queue behind
larger ones."""
