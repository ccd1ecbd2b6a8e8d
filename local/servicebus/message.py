"""A stored message: what the broker reads and writes of it. Properties, body and footer stay the sender's own bytes.

Annotations: learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any
from uuid import UUID

from local.servicebus.amqp.codec import decode, encode, sections
from local.servicebus.amqp.types import Array, DecodeError, Described, Int, Long, Symbol, Timestamp, UInt, ULong

HEADER, DELIVERY, ANNOTATIONS, PROPERTIES, APPLICATION, FOOTER = 0x70, 0x71, 0x72, 0x73, 0x74, 0x78
DATA, SEQUENCE, VALUE = 0x75, 0x76, 0x77

BATCH_FORMAT = 0x80013700
"""message-format of a transfer whose data sections are messages themselves."""
SCHEDULED_AT = Symbol("x-opt-scheduled-enqueue-time")
LOCK_TOKEN = Symbol("x-opt-lock-token")
SEQUENCE_NUMBER = Symbol("x-opt-sequence-number")
ENQUEUED_AT = Symbol("x-opt-enqueued-time")
LOCKED_UNTIL = Symbol("x-opt-locked-until")
STATE = Symbol("x-opt-message-state")
BROKERS_OWN = frozenset({SEQUENCE_NUMBER, ENQUEUED_AT, LOCKED_UNTIL, STATE})
"""Annotations that a sender cannot set; they come along when a received message is sent on."""

REASON, DESCRIPTION = "DeadLetterReason", "DeadLetterErrorDescription"
DESCRIBED_LIMIT = 4096


class MessageState(IntEnum):
    """Values of x-opt-message-state."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


@dataclass(eq=False, slots=True)
class Message:
    """Times are epoch seconds. `properties`, `application`, `body`, `footer` are encoded sections.

    What comes after `size` belongs to the queue; `delivery_count` is the number of failed deliveries so far.
    """

    header: list[Any] = field(default_factory=list)
    delivery_annotations: dict[Any, Any] = field(default_factory=dict)
    annotations: dict[Any, Any] = field(default_factory=dict)
    properties: bytes = b""
    application: bytes = b""
    body: bytes = b""
    footer: bytes = b""
    message_id: str | bytes | UUID | int | None = None
    ttl_s: float | None = None
    scheduled_at: float | None = None
    size: int = 0
    sequence: int = 0
    enqueued_at: float = 0.0
    expires_at: float | None = None
    locked_until: float | None = None
    delivery_count: int = 0
    state: MessageState = MessageState.ACTIVE


def parse(data: bytes) -> Message:
    """The message in these bytes, its sections in any order. Raises DecodeError."""
    message = Message(size=len(data))
    bodies: list[bytes] = []
    for code, start, end in sections(data):
        part = data[start:end]
        if code == HEADER:
            message.header = _list(part)
            message.ttl_s = _milliseconds(message.header[2], "ttl") if len(message.header) > 2 else None
        elif code == DELIVERY:
            message.delivery_annotations = _map(part)
        elif code == ANNOTATIONS:
            message.annotations = {key: value for key, value in _map(part).items() if key not in BROKERS_OWN}
            message.scheduled_at = _milliseconds(message.annotations.get(SCHEDULED_AT), SCHEDULED_AT)
        elif code == PROPERTIES:
            message.properties = part
            message.message_id = _message_id(part)
        elif code == APPLICATION:
            _map(part)
            message.application = part
        elif code == FOOTER:
            message.footer = part
        elif code in (DATA, SEQUENCE, VALUE):
            bodies.append(part)
        else:
            raise DecodeError(f"unknown message section 0x{code:02x}")
    message.body = b"".join(bodies)
    return message


def unbatch(data: bytes) -> list[Message]:
    """The messages of a batch, each in a data section of its envelope. Raises DecodeError."""
    messages = []
    for code, start, _ in sections(data):
        if code == DATA:
            inner = _value(data[start:])
            if not isinstance(inner, bytes):
                raise DecodeError("a message of a batch must be binary")
            messages.append(parse(inner))
    return messages


def _value(section: bytes) -> Any:
    described, _ = decode(section)
    return described.value if isinstance(described, Described) else None


def _list(section: bytes) -> list[Any]:
    value = _value(section)
    if not isinstance(value, list):
        raise DecodeError("header and properties of a message must be lists")
    return value


def _map(section: bytes) -> dict[Any, Any]:
    value = _value(section)
    if not isinstance(value, dict):
        raise DecodeError("annotations and application properties of a message must be maps")
    return value


def _milliseconds(value: Any, what: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int):
        raise DecodeError(f"{what} must be a number of milliseconds, not {value!r}")
    return int(value) / 1000


def _message_id(section: bytes) -> str | bytes | UUID | int | None:
    fields = _list(section)
    value = fields[0] if fields else None
    if value is None or isinstance(value, str | bytes | UUID | int):
        return value
    raise DecodeError(f"a message id cannot be {value!r}")


def _section(code: int, value: Any) -> bytes:
    return encode(Described(ULong(code), value))


def render(message: Message, token: UUID | None = None) -> bytes:
    """The message as it goes to a receiver; with its lock's token for the one that holds it."""
    header = [*message.header, None, None, None, None, None][:5]
    header[4] = UInt(message.delivery_count)
    delivery = message.delivery_annotations if token is None else {**message.delivery_annotations, LOCK_TOKEN: token}
    annotations = {
        **message.annotations,
        SEQUENCE_NUMBER: Long(message.sequence),
        ENQUEUED_AT: Timestamp(message.enqueued_at * 1000),
        STATE: Int(message.state),
    }
    if message.locked_until is not None:
        annotations[LOCKED_UNTIL] = Timestamp(message.locked_until * 1000)
    parts = [_section(HEADER, header)]
    if delivery:
        parts.append(_section(DELIVERY, delivery))
    parts += [_section(ANNOTATIONS, annotations), message.properties, message.application, message.body, message.footer]
    return b"".join(parts)


def dead(message: Message, reason: str | None, description: str | None) -> Message:
    """A copy for the dead-letter queue, with the reason among its application properties."""
    fields = _map(message.application) if message.application else {}
    given = {key: text for key, text in ((REASON, reason), (DESCRIPTION, description)) if text is not None}
    application = _section(APPLICATION, {**fields, **given}) if fields or given else b""
    return replace(message, application=application, ttl_s=None, expires_at=None)


def describe(message: Message) -> dict[str, Any]:
    """The parts of a message that people read: id, reason, and the body as text up to 4 KiB."""
    fields: Mapping[Any, Any] = _map(message.application) if message.application else {}
    return {
        "id": None if message.message_id is None else str(message.message_id),
        "sequenceNumber": message.sequence,
        "deliveryCount": message.delivery_count,
        "enqueuedTime": message.enqueued_at,
        "reason": fields.get(REASON),
        "description": fields.get(DESCRIPTION),
        "body": _body_text(message.body)[:DESCRIBED_LIMIT],
    }


def _body_text(body: bytes) -> str:
    texts = []
    for code, start, _ in sections(body):
        value = _value(body[start:])
        shown = value.decode(errors="replace") if code == DATA else json.dumps(value, default=_plain)
        texts.append(shown)
    return "".join(texts)


def _plain(value: Any) -> Any:
    match value:
        case Array(values):
            return list(values)
        case bytes():
            return value.decode(errors="replace")
        case _:
            return str(value)
