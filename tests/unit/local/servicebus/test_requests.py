"""Requests to `$management` frame by frame: answers wait for credit, and what cannot be met says why."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from local.servicebus.amqp import frames
from local.servicebus.amqp.codec import decode, encode
from local.servicebus.amqp.frames import Frame
from local.servicebus.amqp.types import Array, Described, Int, Long, UInt, ULong
from local.servicebus.broker import Broker
from local.servicebus.message import APPLICATION, PROPERTIES, VALUE, Message
from tests.unit.local.servicebus.peer import Peer, a_broker, a_message, outcomes


@pytest.fixture
async def broker() -> Broker:
    return a_broker()


def a_request(message_id: Any, operation: str, body: Any) -> bytes:
    parts = ((PROPERTIES, [message_id]), (APPLICATION, {"operation": operation}), (VALUE, body))
    return b"".join(encode(Described(ULong(code), value)) for code, value in parts)


def the_answer(item: Frame) -> tuple[Any, dict[str, Any], Any]:
    found: dict[int, Any] = {}
    at = 0
    while at < len(item.payload):
        section, at = decode(item.payload, at)
        found[int(section.descriptor)] = section.value
    return found[PROPERTIES][5], found[APPLICATION], found[VALUE]


async def test_requests_are_answered_over_the_pair_and_wait_for_credit(broker: Broker) -> None:
    peer = Peer(broker).open().attach("q/$management", 0, receive=False).attach("q/$management", 1, receive=True)
    peer.got()
    asked = UUID(int=5)
    for _ in range(2):
        peer.transfer(0, 1, a_request(asked, "com.microsoft:peek-message", {}))
    assert outcomes(peer.got()) == [(1, frames.ACCEPTED)] * 2
    peer.credit(1, 5)
    answers = peer.got()
    assert len(answers) == 2
    correlation, fields, _ = the_answer(answers[0])
    assert correlation == asked
    assert fields["statusCode"] == 400
    assert fields["errorCondition"] == "com.microsoft:argument-error"
    assert "from-sequence-number" in fields["statusDescription"]


@pytest.mark.parametrize(
    ("operation", "body", "status", "condition"),
    [
        ("com.microsoft:fly", {}, 400, "amqp:not-implemented"),
        ("com.microsoft:renew-lock", None, 400, "com.microsoft:argument-error"),
        ("com.microsoft:renew-lock", {"lock-tokens": ["x"]}, 400, "com.microsoft:argument-error"),
        ("com.microsoft:renew-lock", {"lock-tokens": Array((UUID(int=1),))}, 410, "com.microsoft:message-lock-lost"),
        ("com.microsoft:schedule-message", {"messages": [{"message": b"\x40"}]}, 400, "amqp:decode-error"),
        ("com.microsoft:schedule-message", {"messages": ["m"]}, 400, "com.microsoft:argument-error"),
        ("com.microsoft:update-disposition", {"disposition-status": "lost"}, 400, "com.microsoft:argument-error"),
        ("com.microsoft:cancel-scheduled-message", {"sequence-numbers": [UInt(9)]}, 404, None),
    ],
)
async def test_a_request_that_cannot_be_met_says_why(
    broker: Broker, operation: str, body: Any, status: int, condition: str | None
) -> None:
    peer = Peer(broker).open().attach("q/$management", 0, receive=False).attach("q/$management", 1, receive=True)
    peer.credit(1, 5)
    peer.got()
    peer.transfer(0, 1, a_request("id", operation, body))
    answer = next(item for item in peer.got() if item.code == frames.TRANSFER)
    _, fields, _ = the_answer(answer)
    assert fields["statusCode"] == status
    assert fields["errorCondition"] == (condition or "com.microsoft:message-not-found")


async def test_an_answer_to_a_peek_is_bounded_and_has_at_least_one_message(broker: Broker) -> None:
    peer = Peer(broker).open().attach("q/$management", 0, receive=False).attach("q/$management", 1, receive=True)
    peer.credit(1, 5)
    peer.got()
    broker.queues["q"].send([Message(body=a_message("x" * 10), size=400_000) for _ in range(5)])
    broker.queues["q"].send([Message(body=a_message("y"), size=2_000_000)])
    for first, shown in ((1, 2), (5, 1), (6, 1), (7, 0)):
        body = {"from-sequence-number": Long(first), "message-count": Int(100)}
        peer.transfer(0, 1, a_request("id", "com.microsoft:peek-message", body))
        _, fields, found = the_answer(next(item for item in peer.got() if item.code == frames.TRANSFER))
        assert (fields["statusCode"], len(found.get("messages", []))) == (200 if shown else 204, shown)


async def test_a_request_without_a_link_for_the_answer_is_rejected(broker: Broker) -> None:
    peer = Peer(broker).open().attach("q/$management", 0, receive=False)
    peer.got()
    peer.transfer(0, 1, a_request("id", "com.microsoft:peek-message", {}))
    peer.transfer(0, 2, b"")
    assert outcomes(peer.got()) == [(1, frames.REJECTED), (2, frames.REJECTED)]
