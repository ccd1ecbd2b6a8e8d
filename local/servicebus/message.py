"""A stored message: what the broker reads and writes of it; properties, body and footer stay the sender's bytes.

Annotations: learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from local.servicebus.amqp.codec import (
    Array,
    DecodeError,
    Described,
    Int,
    Long,
    Symbol,
    Timestamp,
    UInt,
    ULong,
    decode,
    encode,
    sections,
)

HEADER, DELIVERY, ANNOTATIONS, PROPERTIES, APPLICATION, FOOTER = 0x70, 0x71, 0x72, 0x73, 0x74, 0x78
DATA, SEQUENCE, VALUE = 0x75, 0x76, 0x77
BATCH_FORMAT = 0x80013700
SCHEDULED_AT = Symbol("x-opt-scheduled-enqueue-time")
ACTIVE, DEFERRED, SCHEDULED = 0, 1, 2


@dataclass
class Message:
    """Times are epoch seconds. `sequence` is set by the queue; `state` is one of ACTIVE, DEFERRED, SCHEDULED."""

    header: list[Any] = field(default_factory=list)
    delivery_annotations: dict[Any, Any] = field(default_factory=dict)
    annotations: dict[Any, Any] = field(default_factory=dict)
    properties: bytes = b""
    application: bytes = b""
    body: bytes = b""
    footer: bytes = b""
    message_id: Any = None
    sequence: int = 0
    enqueued_at: float = 0.0
    expires_at: float | None = None
    delivery_count: int = 0
    state: int = ACTIVE
    size: int = 0

    @property
    def ttl_s(self) -> float | None:
        """The sender's time to live."""
        ttl = self.header[2] if len(self.header) > 2 else None
        return None if ttl is None else int(ttl) / 1000

    @property
    def scheduled_at(self) -> float | None:
        at = self.annotations.get(SCHEDULED_AT)
        return None if at is None else int(at) / 1000


def parse(data: bytes) -> Message:
    """The message in encoded sections, in any order. Raises DecodeError."""
    message = Message(size=len(data))
    bodies: list[bytes] = []
    for code, start, end in sections(data):
        part = data[start:end]
        if code == HEADER:
            message.header = _value(part, list)
        elif code == DELIVERY:
            message.delivery_annotations = _value(part, dict)
        elif code == ANNOTATIONS:
            message.annotations = _value(part, dict)
        elif code == PROPERTIES:
            message.properties = part
            fields = _value(part, list)
            message.message_id = fields[0] if fields else None
        elif code == APPLICATION:
            message.application = part
        elif code == FOOTER:
            message.footer = part
        elif code in (DATA, SEQUENCE, VALUE):
            bodies.append(part)
        else:
            raise DecodeError(f"unknown message section 0x{code:x}")
    message.body = b"".join(bodies)
    return message


def _value(part: bytes, kind: type) -> Any:
    described, _ = decode(part)
    if not isinstance(described, Described) or not isinstance(described.value, kind):
        raise DecodeError(f"a message section must hold a {kind.__name__}")
    return described.value


def unbatch(data: bytes) -> list[Message]:
    """The messages in a batch: each a data section. Raises DecodeError."""
    messages = []
    for code, start, end in sections(data):
        if code == DATA:
            described, _ = decode(data[start:end])
            messages.append(parse(bytes(described.value)))
    return messages


def render(message: Message, lock_token: UUID | None, locked_until: float | None) -> bytes:
    """The message as it goes to a receiver."""
    header = [*message.header, *[None] * (5 - len(message.header))][:5]
    header[4] = UInt(message.delivery_count)
    delivery = dict(message.delivery_annotations)
    if lock_token is not None:
        delivery[Symbol("x-opt-lock-token")] = lock_token
    annotations = dict(message.annotations)
    annotations[Symbol("x-opt-sequence-number")] = Long(message.sequence)
    annotations[Symbol("x-opt-enqueued-time")] = Timestamp(int(message.enqueued_at * 1000))
    annotations[Symbol("x-opt-message-state")] = Int(message.state)
    if locked_until is not None:
        annotations[Symbol("x-opt-locked-until")] = Timestamp(int(locked_until * 1000))
    parts = [encode(Described(ULong(HEADER), header))]
    if delivery:
        parts.append(encode(Described(ULong(DELIVERY), delivery)))
    parts.append(encode(Described(ULong(ANNOTATIONS), annotations)))
    return b"".join([*parts, message.properties, message.application, message.body, message.footer])


def mark_dead(message: Message, reason: str | None, description: str | None) -> None:
    """Put why a message was dead-lettered into its application properties."""
    fields: dict[Any, Any] = _value(message.application, dict) if message.application else {}
    if reason is not None:
        fields["DeadLetterReason"] = reason
    if description is not None:
        fields["DeadLetterErrorDescription"] = description
    message.application = encode(Described(ULong(APPLICATION), fields))


def describe(message: Message, limit: int = 4096) -> dict[str, Any]:
    """A message for people: id, reason, body text."""
    fields: dict[Any, Any] = _value(message.application, dict) if message.application else {}
    texts = []
    for code, start, end in sections(message.body):
        value = decode(message.body[start:end])[0].value
        shown = value.decode(errors="replace") if code == DATA else json.dumps(_plain(value), default=str)
        texts.append(shown)
    return {
        "messageId": None if message.message_id is None else str(message.message_id),
        "sequenceNumber": message.sequence,
        "deliveryCount": message.delivery_count,
        "reason": fields.get("DeadLetterReason"),
        "description": fields.get("DeadLetterErrorDescription"),
        "body": "".join(texts)[:limit],
    }


def _plain(value: Any) -> Any:
    return list(value.values) if isinstance(value, Array) else value
