"""The AMQP engine frame by frame, without a network: what a client does wrong, loosely or in pieces."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from local.servicebus.amqp import frames
from local.servicebus.amqp.codec import decode, encode
from local.servicebus.amqp.engine import SENDER_CREDIT
from local.servicebus.amqp.frames import error, frame, outcome
from local.servicebus.amqp.links import MAX_MESSAGE, Incoming
from local.servicebus.amqp.types import Described, Symbol, UInt, ULong
from local.servicebus.broker import Broker
from local.servicebus.message import ANNOTATIONS, APPLICATION, BATCH_FORMAT, DATA, PROPERTIES
from tests.unit.local.servicebus.peer import BASE, Peer, a_broker, a_message, outcomes


@pytest.fixture
async def broker() -> Broker:
    return a_broker()


async def one_turn() -> None:
    """Queues deliver in the next turn of the event loop."""
    await asyncio.sleep(0)


async def test_sasl_is_offered_and_every_choice_is_accepted(broker: Broker) -> None:
    peer = Peer(broker)
    peer.connection.data_received(frames.SASL_HEADER)
    peer.connection.data_received(frame(0, frames.SASL_INIT, [Symbol("ANONYMOUS"), b""], sasl=True))
    assert peer.wire.written.startswith(frames.SASL_HEADER)
    offered, done = peer.got()
    assert (offered.code, done.code) == (frames.SASL_MECHANISMS, frames.SASL_OUTCOME)
    assert Symbol("ANONYMOUS") in offered.get(0).values
    assert Symbol("MSSBCBS") in offered.get(0).values
    assert done.number(0) == 0


async def test_everything_may_come_in_one_piece_or_byte_by_byte(broker: Broker) -> None:
    stream = (
        frames.AMQP_HEADER
        + frame(0, frames.OPEN, ["client"])
        + bytes.fromhex("0000000802000000")
        + frame(1, frames.BEGIN, [None, UInt(0), UInt(1), UInt(1)])
    )
    for pieces in ([stream], [bytes([each]) for each in stream]):
        peer = Peer(broker)
        for piece in pieces:
            peer.connection.data_received(piece)
        opened, begun = peer.got()
        assert (opened.code, begun.code) == (frames.OPEN, frames.BEGIN)
        assert opened.get(4) is None
        assert begun.number(0) == 1


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"AMQP\x00\x00\x09\x01", "amqp:connection:framing-error"),
        (b"GET / HTTP/1.1\r\n\r\n", "amqp:connection:framing-error"),
        (b"\x00\x00\x00\x07\x02\x00\x00\x00", "amqp:connection:framing-error"),
        (b"\x7f\x00\x00\x00\x02\x00\x00\x00", "amqp:connection:framing-error"),
        (b"\x00\x00\x00\x0c\x02\x00\x00\x00\x00\x53\x10\xc0", "amqp:decode-error"),
        (b"\x00\x00\x00\x09\x02\x00\x00\x00\x41", "amqp:decode-error"),
        (frame(0, 0x55, []), "amqp:not-implemented"),
        (frame(1, frames.BEGIN, [None, "one"]), "amqp:invalid-field"),
    ],
)
async def test_a_malformed_stream_is_closed_with_the_reason(broker: Broker, data: bytes, condition: str) -> None:
    peer = Peer(broker)
    peer.connection.data_received(frames.AMQP_HEADER)
    peer.wire.written = b""
    peer.connection.data_received(data)
    (closed,) = peer.got()
    assert closed.code == frames.CLOSE
    assert closed.get(0).value[0] == condition
    assert len(closed.get(0).value) == 3
    assert peer.wire.closed


async def test_a_link_to_an_unknown_queue_is_rejected_without_source_and_target(broker: Broker) -> None:
    peer = Peer(broker).open()
    peer.got()
    peer.attach(f"{BASE}/absent", 0, receive=False).attach(f"{BASE}/q", 1, receive=False)
    attached, detached, other, flow = peer.got()
    assert (attached.code, attached.get(5), attached.get(6)) == (frames.ATTACH, None, None)
    assert (detached.code, detached.get(1)) == (frames.DETACH, True)
    assert detached.get(2).value[0] == "amqp:not-found"
    assert "absent" in detached.get(2).value[1]
    assert other.get(6).value == [f"{BASE}/q"]
    assert (flow.code, flow.number(6)) == (frames.FLOW, SENDER_CREDIT)


async def test_nothing_can_be_sent_to_a_dead_letter_queue(broker: Broker) -> None:
    peer = Peer(broker).open()
    peer.got()
    peer.attach(f"{BASE}/q/$DeadLetterQueue", 0, receive=False)
    assert peer.got()[1].get(2).value[0] == "amqp:not-allowed"
    peer.attach(f"{BASE}/Q/$deadletterqueue", 0, receive=True)
    assert peer.codes() == [frames.ATTACH]


async def test_a_session_cannot_be_received_from_a_queue_without_sessions(broker: Broker) -> None:
    peer = Peer(broker).open()
    peer.got()
    address, name = f"{BASE}/q", Symbol("com.microsoft:session-filter")
    source = Described(ULong(0x28), [address, None, None, None, None, None, None, {name: "s"}])
    peer.send(frames.ATTACH, "link", UInt(0), True, UInt(0), UInt(1), source, Described(ULong(0x29), ["t"]))
    attached, detached = peer.got()
    assert attached.get(5) is None
    assert detached.get(2).value[0] == "amqp:not-allowed"


async def test_the_same_delivery_id_twice_is_two_messages(broker: Broker) -> None:
    peer = Peer(broker).open().attach(f"{BASE}/q", 0, receive=False)
    peer.got()
    for text in ("a", "b"):
        peer.transfer(0, 7, a_message(text))
    assert outcomes(peer.got()) == [(7, frames.ACCEPTED)] * 2
    assert broker.queues["q"].counts()["active"] == 2


async def test_a_message_in_several_frames_is_one_message(broker: Broker) -> None:
    peer = Peer(broker).open().attach(f"{BASE}/q", 0, receive=False).attach(f"{BASE}/other", 1, receive=False)
    peer.got()
    whole = a_message("x" * 100)
    peer.transfer(0, 1, whole[:30], more=True)
    peer.transfer(1, 2, a_message("between"))
    peer.transfer(0, 1, whole[30:60], more=True)
    peer.send(frames.TRANSFER, UInt(0), payload=whole[60:])
    assert outcomes(peer.got()) == [(2, frames.ACCEPTED), (1, frames.ACCEPTED)]
    (kept,) = broker.queues["q"].peek(0, 9)
    assert kept.body == whole


async def test_an_aborted_message_is_not_kept(broker: Broker) -> None:
    peer = Peer(broker).open().attach(f"{BASE}/q", 0, receive=False)
    peer.got()
    peer.transfer(0, 1, a_message("a")[:3], more=True)
    peer.send(frames.TRANSFER, UInt(0), None, None, None, None, False, None, None, None, True)
    assert peer.got() == []
    peer.transfer(0, 2, a_message("b"))
    assert broker.queues["q"].counts()["active"] == 1


@pytest.mark.parametrize("pieces", [6, 40])
async def test_a_message_over_the_limit_is_rejected_with_all_fields_of_the_error(broker: Broker, pieces: int) -> None:
    peer = Peer(broker).open().attach(f"{BASE}/q", 0, receive=False)
    peer.got()
    piece = b"x" * 50_000
    for number in range(pieces):
        peer.transfer(0, 1, piece, more=number < pieces - 1)
    (rejected,) = peer.got()
    fault = rejected.get(4).value[0].value
    assert fault[0] == "amqp:link:message-size-exceeded"
    assert f"{pieces * 50_000} bytes; the limit is {MAX_MESSAGE}" in fault[1]
    assert fault[2] == {}
    peer.transfer(0, 2, a_message("b"))
    assert outcomes(peer.got()) == [(2, frames.ACCEPTED)]
    assert broker.queues["q"].counts()["active"] == 1


def test_of_a_message_over_the_limit_no_more_than_the_limit_is_kept() -> None:
    incoming = Incoming(delivery_id=1, message_format=0, settled=False)
    for _ in range(100):
        incoming.add(b"x" * 50_000)
    assert incoming.size == 5_000_000
    assert len(incoming.data) <= MAX_MESSAGE


async def test_a_batch_is_taken_as_its_messages_or_not_at_all(broker: Broker) -> None:
    peer = Peer(broker).open().attach(f"{BASE}/q", 0, receive=False)
    peer.got()
    good = b"".join(encode(Described(ULong(DATA), a_message(text))) for text in "ab")
    peer.transfer(0, 1, good, message_format=BATCH_FORMAT)
    bad = good + encode(Described(ULong(DATA), b"no message"))
    peer.transfer(0, 2, bad, message_format=BATCH_FORMAT)
    assert outcomes(peer.got()) == [(1, frames.ACCEPTED), (2, frames.REJECTED)]
    assert [each.body for each in broker.queues["q"].peek(0, 9)] == [a_message("a"), a_message("b")]


@pytest.mark.parametrize(
    "payload",
    [
        b"\x40",
        b"\x00\x53\x75\xa0\x09short",
        encode(Described(ULong(0x99), b"")),
        encode(Described(ULong(APPLICATION), b"")),
        encode(Described(ULong(PROPERTIES), [[]])),
        encode(Described(ULong(ANNOTATIONS), {Symbol("x-opt-scheduled-enqueue-time"): "soon"})),
    ],
)
async def test_a_transfer_that_is_no_message_is_rejected_and_the_link_lives_on(broker: Broker, payload: bytes) -> None:
    peer = Peer(broker).open().attach(f"{BASE}/q", 0, receive=False)
    peer.got()
    peer.transfer(0, 1, payload)
    peer.transfer(0, 2, a_message("fine"))
    assert outcomes(peer.got()) == [(1, frames.REJECTED), (2, frames.ACCEPTED)]


async def test_senders_get_new_credit_before_theirs_is_used_up(broker: Broker) -> None:
    peer = Peer(broker).open().attach(f"{BASE}/q", 0, receive=False)
    peer.got()
    for number in range(SENDER_CREDIT // 2):
        peer.transfer(0, number, a_message("m"))
    flow = peer.got()[-1]
    assert (flow.code, flow.number(5), flow.number(6)) == (frames.FLOW, SENDER_CREDIT // 2, SENDER_CREDIT)


async def receiving(broker: Broker, texts: str, credit: int, *, settled: bool = False) -> Peer:
    """A client that sent messages over link 0 and gave credit on link 1; earlier frames are dropped."""
    peer = Peer(broker).open().attach(f"{BASE}/q", 0, receive=False)
    peer.attach(f"{BASE}/q", 1, receive=True, settled=settled)
    for number, text in enumerate(texts):
        peer.transfer(0, number, a_message(text))
    peer.got()
    peer.credit(1, credit)
    await one_turn()
    return peer


async def test_deliveries_stop_at_the_credit_and_carry_the_lock_token_as_tag(broker: Broker) -> None:
    peer = await receiving(broker, "abc", 2)
    first, second = peer.got()
    assert [first.number(1), second.number(1)] == [0, 1]
    sections: dict[int, Any] = {}
    at = 0
    while at < len(first.payload):
        assert first.payload[at : at + 2] == b"\x00\x53"
        section, at = decode(first.payload, at)
        sections[int(section.descriptor)] = section.value
    assert sections[0x71][Symbol("x-opt-lock-token")] == UUID(bytes_le=first.get(2))
    assert sections[0x72][Symbol("x-opt-sequence-number")] == 1
    assert sections[0x72][Symbol("x-opt-locked-until")] == 1_000_060_000
    assert sections[DATA] == b"a"
    peer.credit(1, 1, count=2)
    assert peer.codes() == [frames.TRANSFER]


async def test_credit_counts_from_what_the_client_has_seen(broker: Broker) -> None:
    peer = await receiving(broker, "abcdef", 2)
    assert len(peer.got()) == 2
    peer.credit(1, 3, count=0)
    assert peer.codes() == [frames.TRANSFER]


async def test_each_outcome_is_confirmed_with_the_same_outcome(broker: Broker) -> None:
    peer = await receiving(broker, "abcde", 5)
    peer.got()
    why = Described(ULong(frames.ERROR), [Symbol("com.microsoft:dead-letter"), None, {Symbol("DeadLetterReason"): "r"}])
    peer.settle(0, None, outcome(frames.ACCEPTED))
    peer.settle(1, 1, outcome(frames.MODIFIED, True, False))
    peer.settle(2, 2, outcome(frames.MODIFIED, True, True))
    peer.settle(3, 3, outcome(frames.REJECTED, why))
    items = peer.got()
    assert outcomes(items) == [
        (0, frames.ACCEPTED),
        (1, frames.MODIFIED),
        (2, frames.MODIFIED),
        (3, frames.REJECTED),
    ]
    assert items[3].get(4).value == []
    peer.settle(4, 4, outcome(frames.RELEASED), settled=True)
    assert peer.got() == []
    counts = broker.queues["q"].counts()
    assert counts == {"active": 2, "scheduled": 0, "locked": 0, "deferred": 1, "deadLetter": 1}


async def test_one_disposition_settles_a_range_however_wide(broker: Broker) -> None:
    peer = await receiving(broker, "abc", 3)
    peer.got()
    peer.settle(1, 2**32 - 1, outcome(frames.ACCEPTED))
    assert outcomes(peer.got()) == [(1, frames.ACCEPTED), (2, frames.ACCEPTED)]
    peer.settle(1, 2, outcome(frames.ACCEPTED))
    assert peer.got() == []


async def test_an_outcome_for_a_lost_lock_is_rejected_with_an_error(broker: Broker) -> None:
    peer = await receiving(broker, "ab", 2)
    peer.got()
    broker.queues["q"].purge()
    peer.settle(0, 1, outcome(frames.ACCEPTED))
    items = peer.got()
    assert outcomes(items) == [(0, frames.REJECTED), (1, frames.REJECTED)]
    assert items[0].get(4).value[0].value[0] == "com.microsoft:message-lock-lost"


async def test_after_detach_an_outcome_is_ignored_and_the_lock_runs_on(broker: Broker) -> None:
    peer = await receiving(broker, "ab", 2)
    peer.got()
    peer.send(frames.DETACH, UInt(1), True)
    peer.settle(0, 1, outcome(frames.ACCEPTED))
    assert peer.codes() == [frames.DETACH]
    assert broker.queues["q"].counts()["locked"] == 2


async def test_frames_for_links_and_sessions_that_are_gone_are_ignored(broker: Broker) -> None:
    peer = await receiving(broker, "a", 0)
    peer.send(frames.END)
    assert peer.codes() == [frames.END]
    peer.send(frames.DETACH, UInt(1), True)
    peer.send(frames.END)
    peer.credit(1, 5)
    peer.transfer(0, 9, a_message("late"))
    peer.settle(0, 0, outcome(frames.ACCEPTED))
    peer.attach(f"{BASE}/q", 3, receive=True)
    assert peer.got() == []
    assert not peer.wire.closed
    peer.send(frames.BEGIN, None, UInt(0), UInt(1), UInt(1))
    assert peer.codes() == [frames.BEGIN]


async def test_a_handle_that_is_attached_again_belongs_to_the_new_link(broker: Broker) -> None:
    peer = await receiving(broker, "ab", 1)
    assert len(peer.got()) == 1
    peer.attach(f"{BASE}/q", 1, receive=True)
    peer.settle(0, 0, outcome(frames.ACCEPTED))
    assert peer.codes() == [frames.ATTACH]
    peer.credit(1, 5)
    assert peer.codes() == [frames.TRANSFER]
    other = await receiving(broker, "c", 5)
    peer.credit(1, 5, count=1)
    assert len(other.got()) + len(peer.got()) == 1


async def test_draining_delivers_what_there_is_and_uses_up_the_credit(broker: Broker) -> None:
    peer = await receiving(broker, "a", 0)
    peer.credit(1, 10, drain=True)
    delivered, flow = peer.got()
    assert (delivered.code, flow.code) == (frames.TRANSFER, frames.FLOW)
    assert (flow.number(5), flow.number(6), flow.get(8)) == (10, 0, True)
    peer.transfer(0, 1, a_message("b"))
    await one_turn()
    assert frames.TRANSFER not in peer.codes()


async def test_deliveries_to_a_receiver_that_settles_at_once_are_gone(broker: Broker) -> None:
    peer = await receiving(broker, "ab", 1, settled=True)
    (delivered,) = peer.got()
    assert delivered.get(4) is True
    assert broker.queues["q"].counts() | {"active": 1} == broker.queues["q"].counts()
    assert len(broker.queues["q"]) == 1


async def test_messages_go_to_receivers_in_turn(broker: Broker) -> None:
    peers = [await receiving(broker, "", 10) for _ in range(2)]
    sender = Peer(broker).open().attach(f"{BASE}/q", 0, receive=False)
    for number in range(6):
        sender.transfer(0, number, a_message("m"))
    await one_turn()
    assert [len(peer.got()) for peer in peers] == [3, 3]


async def test_a_client_that_does_not_read_gets_no_more_until_it_does(broker: Broker) -> None:
    peer = await receiving(broker, "", 10)
    peer.connection.pause_writing()
    assert not peer.wire.reading
    sender = Peer(broker).open().attach(f"{BASE}/q", 0, receive=False)
    for number in range(3):
        sender.transfer(0, number, a_message("m"))
    await one_turn()
    assert peer.got() == []
    peer.connection.resume_writing()
    assert (peer.codes(), peer.wire.reading) == ([frames.TRANSFER] * 3, True)


async def test_when_the_connection_goes_its_locks_stay_and_others_are_served(broker: Broker) -> None:
    peer = await receiving(broker, "abc", 1)
    peer.connection.connection_lost(None)
    assert peer.lost == 1
    other = await receiving(broker, "", 10)
    assert len(other.got()) == 2
    assert broker.queues["q"].counts()["locked"] == 3


async def test_a_large_message_is_delivered_in_frames_the_client_can_take(broker: Broker) -> None:
    peer = Peer(broker)
    peer.connection.data_received(frames.AMQP_HEADER)
    peer.send(frames.OPEN, "client", "host", UInt(1000), channel=0)
    peer.send(frames.BEGIN, None, UInt(0), UInt(100), UInt(100))
    peer.attach(f"{BASE}/q", 0, receive=False).attach(f"{BASE}/q", 1, receive=True)
    peer.transfer(0, 0, a_message("x" * 5000))
    peer.got()
    peer.credit(1, 1)
    raw = peer.wire.written
    pieces = peer.got()
    assert len(raw) / len(pieces) <= 1000
    assert [piece.get(5) for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert [piece.get(1) for piece in pieces] == [0] + [None] * (len(pieces) - 1)
    assert b"".join(piece.payload for piece in pieces).endswith(a_message("x" * 5000))


def test_an_error_always_has_three_fields() -> None:
    assert error("amqp:not-found", "text").value == [Symbol("amqp:not-found"), "text", {}]
