"""Stored messages: sections in any order, what the broker adds and takes away, and the text shown to people."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from local.servicebus.amqp.codec import decode, encode
from local.servicebus.amqp.types import Array, DecodeError, Described, Int, Long, Symbol, Timestamp, UInt, ULong
from local.servicebus.message import (
    ANNOTATIONS,
    APPLICATION,
    DATA,
    DELIVERY,
    FOOTER,
    HEADER,
    PROPERTIES,
    SEQUENCE,
    VALUE,
    Message,
    dead,
    describe,
    parse,
    render,
    unbatch,
)

TOKEN = UUID(int=7)


def section(code: int, value: Any) -> bytes:
    return encode(Described(ULong(code), value))


def sections_of(data: bytes) -> list[tuple[int, Any]]:
    found, at = [], 0
    while at < len(data):
        part, at = decode(data, at)
        found.append((int(part.descriptor), part.value))
    return found


def test_sections_in_any_order_go_out_in_the_order_of_the_specification() -> None:
    parts = [
        section(DATA, b"one"),
        section(FOOTER, {"f": True}),
        section(APPLICATION, {"a": "b"}),
        section(DATA, b"two"),
        section(PROPERTIES, ["id"]),
        section(ANNOTATIONS, {Symbol("own"): Int(1)}),
        section(DELIVERY, {Symbol("theirs"): Int(2)}),
        section(HEADER, [True, None, UInt(5000)]),
    ]
    message = parse(b"".join(parts))
    assert (message.message_id, message.ttl_s, message.size) == ("id", 5.0, sum(map(len, parts)))
    message.delivery_count, message.sequence, message.enqueued_at, message.locked_until = 3, 9, 10.0, 70.0
    out = sections_of(render(message, TOKEN))
    assert out == [
        (HEADER, [True, None, 5000, None, 3]),
        (DELIVERY, {"theirs": 2, "x-opt-lock-token": TOKEN}),
        (
            ANNOTATIONS,
            {
                "own": 1,
                "x-opt-sequence-number": 9,
                "x-opt-enqueued-time": 10_000,
                "x-opt-message-state": 0,
                "x-opt-locked-until": 70_000,
            },
        ),
        (PROPERTIES, ["id"]),
        (APPLICATION, {"a": "b"}),
        (DATA, b"one"),
        (DATA, b"two"),
        (FOOTER, {"f": True}),
    ]


def test_what_the_broker_wrote_is_not_taken_over_when_a_message_is_sent_on() -> None:
    message = Message(body=section(DATA, b"x"), sequence=9, locked_until=70.0)
    again = parse(render(message, TOKEN))
    assert again.annotations == {}
    assert (again.sequence, again.locked_until) == (0, None)
    assert dict(sections_of(render(again)))[ANNOTATIONS].keys().isdisjoint({"x-opt-locked-until"})


def test_a_batch_is_its_data_sections_whatever_its_envelope_says() -> None:
    inner = [section(PROPERTIES, [name]) + section(DATA, b"x") for name in ("a", "b")]
    envelope = section(PROPERTIES, ["envelope"]) + b"".join(section(DATA, each) for each in inner)
    assert [each.message_id for each in unbatch(envelope)] == ["a", "b"]
    with pytest.raises(DecodeError, match="must be binary"):
        unbatch(section(DATA, "text"))


def test_a_dead_message_without_a_reason_is_unchanged_but_for_its_time_to_live() -> None:
    message = Message(body=section(DATA, b"x"), ttl_s=5.0, expires_at=9.0, delivery_count=2)
    buried = dead(message, None, None)
    assert (buried.application, buried.ttl_s, buried.expires_at, buried.delivery_count) == (b"", None, None, 2)
    assert message.expires_at == 9.0


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (section(DATA, b"one ") + section(DATA, b"two \xff"), "one two �"),
        (section(VALUE, {"a": [Long(1), None, b"raw"]}), '{"a": [1, null, "raw"]}'),
        (section(VALUE, Array((UUID(int=1),))), f'["{UUID(int=1)}"]'),
        (section(SEQUENCE, [True]) + section(SEQUENCE, [Timestamp(5)]), "[true][5]"),
        (b"", ""),
        (section(DATA, b"x" * 5000), "x" * 4096),
    ],
)
def test_people_see_the_body_as_text(body: bytes, text: str) -> None:
    shown = describe(Message(body=body, message_id=TOKEN))
    assert (shown["body"], shown["id"], shown["reason"]) == (text, str(TOKEN), None)
