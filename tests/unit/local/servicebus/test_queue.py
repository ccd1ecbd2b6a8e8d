"""The queue with a clock of our own: locks, counts, dead letters, schedules, expiry, duplicates, order, limits."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.servicebus.amqp.codec import decode, encode
from local.servicebus.amqp.types import AmqpError, Described, ULong
from local.servicebus.config import QueueSettings
from local.servicebus.disturbance import Disturbance
from local.servicebus.message import APPLICATION, DATA, Message
from local.servicebus.queue import Lock, Queue


class Clock:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time

    def pass_by(self, seconds: float) -> None:
        self.time += seconds


class Bench:
    """A queue with its dead-letter queue, and the clock of both."""

    def __init__(self, settings: QueueSettings | None = None, disturbance: Disturbance | None = None) -> None:
        chosen = settings or QueueSettings(lock_duration_s=30, max_delivery_count=3)
        self.clock = Clock()
        self.dead = Queue("q/dead", chosen, self.clock)
        self.queue = Queue("q", chosen, self.clock, dead_letters=self.dead, disturbance=disturbance)

    def send(self, *texts: str, ttl_s: float | None = None, scheduled_at: float | None = None) -> list[int]:
        return self.queue.send([a_message(text, ttl_s=ttl_s, scheduled_at=scheduled_at) for text in texts])

    def take(self) -> Lock:
        lock = self.queue.take()
        assert lock is not None
        return lock

    def take_all(self) -> list[Lock]:
        return list(iter(self.queue.take, None))

    def texts(self) -> list[str]:
        return [text_of(lock.message) for lock in self.take_all()]


def a_message(
    text: str, message_id: str | None = None, *, ttl_s: float | None = None, scheduled_at: float | None = None
) -> Message:
    body = encode(Described(ULong(DATA), text.encode()))
    return Message(body=body, message_id=message_id, size=len(body), ttl_s=ttl_s, scheduled_at=scheduled_at)


def text_of(message: Message) -> str:
    return bytes(decode(message.body)[0].value).decode()


def rejected(condition: str) -> pytest.RaisesExc[AmqpError]:
    return pytest.RaisesExc(AmqpError, check=lambda fault: fault.condition == condition)


LOST = "com.microsoft:message-lock-lost"
UNKNOWN = "com.microsoft:message-not-found"


def test_messages_come_in_the_order_in_which_they_were_sent() -> None:
    bench = Bench()
    assert bench.send("a", "b", "c") == [1, 2, 3]
    assert bench.texts() == ["a", "b", "c"]
    assert bench.queue.take() is None


def test_a_locked_message_is_given_to_nobody_else_until_it_is_settled() -> None:
    bench = Bench()
    bench.send("a", "b")
    first = bench.take()
    assert bench.texts() == ["b"]
    bench.queue.complete(first.token)
    assert bench.queue.counts()["locked"] == 1
    with rejected(LOST):
        bench.queue.complete(first.token)


def test_when_the_lock_ends_the_message_returns_to_its_place_with_a_new_token_and_one_more_delivery() -> None:
    bench = Bench()
    bench.send("a", "b")
    first = bench.take()
    assert (first.message.delivery_count, first.message.locked_until) == (0, bench.clock.time + 30)
    bench.clock.pass_by(30)
    again = bench.take()
    assert (text_of(again.message), again.message.delivery_count) == ("a", 1)
    assert again.token != first.token
    for settle in (bench.queue.complete, bench.queue.abandon, bench.queue.defer, bench.queue.renew):
        with rejected(LOST):
            settle(first.token)
    bench.queue.complete(again.token)


def test_a_renewed_lock_lasts_its_full_duration_from_then() -> None:
    bench = Bench()
    bench.send("a", "b")
    kept, other = bench.take(), bench.take()
    bench.clock.pass_by(20)
    assert bench.queue.renew(kept.token) == bench.clock.time + 30
    bench.clock.pass_by(15)
    assert bench.texts() == ["b"]
    with rejected(LOST):
        bench.queue.renew(other.token)
    bench.queue.complete(kept.token)


def test_an_abandoned_message_is_back_at_once_and_before_later_ones() -> None:
    bench = Bench()
    bench.send("a", "b")
    bench.queue.abandon(bench.take().token)
    again = bench.take()
    assert (text_of(again.message), again.message.delivery_count) == ("a", 1)


def test_a_released_message_is_back_without_counting_and_a_late_release_is_nothing() -> None:
    bench = Bench()
    bench.send("a")
    token = bench.take().token
    bench.queue.release(token)
    bench.queue.release(token)
    assert bench.take().message.delivery_count == 0


@pytest.mark.parametrize("fail", ["abandon", "expiry"])
def test_after_as_many_failed_deliveries_as_allowed_a_message_is_dead(fail: str) -> None:
    bench = Bench(QueueSettings(lock_duration_s=30, max_delivery_count=3))
    bench.send("bad", "good")
    for attempt in range(3):
        lock = bench.take()
        assert (text_of(lock.message), lock.message.delivery_count) == ("bad", attempt)
        if fail == "abandon":
            bench.queue.abandon(lock.token)
        else:
            bench.clock.pass_by(31)
    assert bench.texts() == ["good"]
    assert bench.queue.counts()["deadLetter"] == 1
    (buried,) = bench.dead.peek(0, 10)
    assert application_of(buried)["DeadLetterReason"] == "MaxDeliveryCountExceeded"
    assert buried.delivery_count == 3


def application_of(message: Message) -> dict[str, str]:
    fields: dict[str, str] = decode(message.application)[0].value
    return fields


def test_a_message_dead_lettered_by_hand_keeps_its_properties_and_gains_reason_and_description() -> None:
    bench = Bench()
    message = a_message("a")
    message.application = encode(Described(ULong(APPLICATION), {"kept": "yes"}))
    bench.queue.send([message, a_message("b")])
    bench.queue.dead_letter(bench.take().token, "Poison", None)
    bench.queue.dead_letter(bench.take().token, "Poison", "why")
    first, second = bench.dead.peek(0, 10)
    assert application_of(first) == {"kept": "yes", "DeadLetterReason": "Poison"}
    assert application_of(second) == {"DeadLetterReason": "Poison", "DeadLetterErrorDescription": "why"}
    assert [first.sequence, second.sequence] == [1, 2]


def test_in_the_dead_letter_queue_a_message_neither_expires_nor_dies_again() -> None:
    bench = Bench(QueueSettings(lock_duration_s=30, max_delivery_count=2, default_ttl_s=60))
    bench.send("a")
    bench.queue.dead_letter(bench.take().token, None, None)
    for _ in range(5):
        lock = bench.dead.take()
        assert lock is not None
        bench.dead.abandon(lock.token)
    bench.clock.pass_by(10_000)
    last = bench.dead.take()
    assert last is not None
    bench.dead.dead_letter(last.token, "again", None)
    assert len(bench.dead) == 1
    final = bench.dead.take()
    assert final is not None
    bench.dead.complete(final.token)
    assert len(bench.dead) == 0


def test_a_scheduled_message_comes_at_its_time_with_a_new_number() -> None:
    bench = Bench()
    (number,) = bench.send("later", scheduled_at=bench.clock.time + 60)
    bench.send("now")
    assert bench.queue.counts() | {"deadLetter": 0} == {
        "active": 1,
        "scheduled": 1,
        "locked": 0,
        "deferred": 0,
        "deadLetter": 0,
    }
    assert bench.texts() == ["now"]
    assert bench.queue.next_due() == bench.clock.time + 30
    bench.clock.pass_by(60)
    due = [lock for lock in bench.take_all() if text_of(lock.message) == "later"]
    assert [lock.message.sequence > number for lock in due] == [True]
    assert due[0].message.enqueued_at == bench.clock.time


def test_scheduled_messages_can_be_cancelled_all_or_none() -> None:
    bench = Bench()
    at = bench.clock.time + 60
    first, second = bench.send("a", "b", scheduled_at=at)
    with rejected(UNKNOWN):
        bench.queue.cancel([first, 99])
    bench.queue.cancel([first])
    with rejected(UNKNOWN):
        bench.queue.cancel([first])
    bench.clock.pass_by(60)
    assert bench.texts() == ["b"]
    with rejected(UNKNOWN):
        bench.queue.cancel([second])


def test_the_shorter_of_the_messages_and_the_queues_time_to_live_counts() -> None:
    bench = Bench(QueueSettings(default_ttl_s=100))
    bench.send("short", ttl_s=10)
    bench.send("long", ttl_s=1000)
    bench.clock.pass_by(10)
    assert [text_of(message) for message in bench.queue.peek(0, 9)] == ["long"]
    bench.clock.pass_by(90)
    assert bench.texts() == []
    assert bench.queue.counts()["deadLetter"] == 0


def test_an_expired_message_goes_to_the_dead_letters_where_the_queue_says_so() -> None:
    bench = Bench(QueueSettings(dead_letter_on_expiration=True))
    bench.send("a", "b", ttl_s=10)
    bench.send("c")
    bench.clock.pass_by(10)
    assert bench.texts() == ["c"]
    assert [application_of(each)["DeadLetterReason"] for each in bench.dead.peek(0, 9)] == ["TTLExpiredException"] * 2


def test_a_locked_message_expires_only_when_its_lock_ends() -> None:
    bench = Bench(QueueSettings(lock_duration_s=30, dead_letter_on_expiration=True))
    bench.send("a", "b", ttl_s=10)
    kept, left = bench.take(), bench.take()
    bench.clock.pass_by(20)
    bench.queue.complete(kept.token)
    assert bench.queue.counts() | {"scheduled": 0} == {
        "active": 0,
        "scheduled": 0,
        "locked": 1,
        "deferred": 0,
        "deadLetter": 0,
    }
    bench.queue.abandon(left.token)
    assert bench.texts() == []
    assert bench.queue.counts()["deadLetter"] == 1


def test_a_message_id_seen_within_the_window_is_accepted_and_dropped() -> None:
    bench = Bench(QueueSettings(requires_duplicate_detection=True, duplicate_window_s=60))
    numbers = bench.queue.send([a_message("one", "x"), a_message("other", "y"), a_message("two", "x")])
    assert len(set(numbers)) == 3
    assert bench.texts() == ["one", "other"]
    bench.clock.pass_by(59)
    bench.queue.send([a_message("three", "x")])
    bench.clock.pass_by(1)
    bench.queue.send([a_message("four", "x"), a_message("no id"), a_message("no id")])
    assert bench.queue.counts()["active"] + bench.queue.counts()["locked"] == 5
    assert [text_of(each) for each in bench.queue.peek(0, 9)][-3:] == ["four", "no id", "no id"]


def test_a_completed_or_cancelled_message_still_counts_for_duplicates() -> None:
    bench = Bench(QueueSettings(requires_duplicate_detection=True, duplicate_window_s=600))
    bench.queue.send([a_message("a", "x")])
    bench.queue.complete(bench.take().token)
    (number,) = bench.queue.send([a_message("b", "y", scheduled_at=bench.clock.time + 5)])
    bench.queue.cancel([number])
    bench.queue.send([a_message("a", "x"), a_message("b", "y")])
    assert bench.queue.take() is None


def test_without_duplicate_detection_the_same_id_is_taken_twice() -> None:
    bench = Bench()
    bench.queue.send([a_message("a", "x"), a_message("b", "x")])
    assert bench.texts() == ["a", "b"]


def test_a_deferred_message_is_only_given_out_by_its_number() -> None:
    bench = Bench()
    bench.send("a", "b")
    lock = bench.take()
    bench.queue.defer(lock.token)
    assert bench.texts() == ["b"]
    with rejected(UNKNOWN):
        bench.queue.take_deferred([1, 2])
    (again,) = bench.queue.take_deferred([1])
    with rejected(UNKNOWN):
        bench.queue.take_deferred([1])
    bench.clock.pass_by(30)
    assert bench.queue.counts()["deferred"] == 1
    (last,) = bench.queue.take_deferred([1])
    assert last.token != again.token
    bench.queue.complete(last.token)
    assert bench.queue.peek(1, 1)[0].sequence == 2


def test_a_deferred_message_can_be_removed_at_once() -> None:
    bench = Bench()
    bench.send("a", "b")
    for _ in range(2):
        bench.queue.defer(bench.take().token)
    assert [text_of(each) for each in bench.queue.take_deferred_for_good([2, 1])] == ["b", "a"]
    assert len(bench.queue) == 0


def test_peeking_shows_every_state_in_order_and_changes_nothing() -> None:
    bench = Bench()
    bench.send("deferred", "locked", "active")
    bench.queue.defer(bench.take().token)
    bench.take()
    bench.send("scheduled", scheduled_at=bench.clock.time + 9)
    before = bench.queue.counts()
    shown = bench.queue.peek(0, 10)
    assert [(text_of(each), int(each.state)) for each in shown] == [
        ("deferred", 1),
        ("locked", 0),
        ("active", 0),
        ("scheduled", 2),
    ]
    assert [each.locked_until is not None for each in shown] == [False, True, False, False]
    assert [text_of(each) for each in bench.queue.peek(3, 1)] == ["active"]
    assert bench.queue.peek(9, 5) == []
    assert bench.queue.counts() == before


def test_a_full_queue_rejects_messages_and_takes_none_of_a_batch() -> None:
    bench = Bench(QueueSettings(max_size_bytes=100))
    bench.send("x" * 60)
    with rejected("amqp:resource-limit-exceeded"):
        bench.send("small", "y" * 60)
    assert len(bench.queue) == 1
    bench.queue.dead_letter(bench.take().token, None, None)
    with rejected("amqp:resource-limit-exceeded"):
        bench.send("y" * 60)
    bench.dead.take_for_good()
    bench.send("y" * 60)


def test_a_purged_queue_is_empty_and_knows_no_lock_and_no_message_id() -> None:
    bench = Bench(QueueSettings(requires_duplicate_detection=True))
    bench.queue.send([a_message("a", "x"), a_message("b", "y")])
    lock = bench.take()
    bench.queue.purge()
    assert set(bench.queue.counts().values()) == {0}
    with rejected(LOST):
        bench.queue.complete(lock.token)
    bench.queue.send([a_message("a", "x")])
    assert bench.texts() == ["a"]


def test_what_falls_due_next_is_the_earliest_of_lock_schedule_and_expiry() -> None:
    bench = Bench(QueueSettings(lock_duration_s=30))
    assert bench.queue.next_due() is None
    start = bench.clock.time
    bench.send("scheduled", scheduled_at=start + 50)
    assert bench.queue.next_due() == start + 50
    bench.send("expiring", ttl_s=40)
    assert bench.queue.next_due() == start + 40
    bench.take()
    assert bench.queue.next_due() == start + 30


def test_every_change_that_can_wake_a_receiver_is_announced() -> None:
    bench = Bench()
    calls: list[str] = []
    bench.queue.changed = lambda: calls.append("queue")
    bench.dead.changed = lambda: calls.append("dead")
    bench.send("a", "b", "c")
    locks = bench.take_all()
    bench.queue.abandon(locks[0].token)
    bench.queue.release(locks[1].token)
    bench.queue.dead_letter(locks[2].token, None, None)
    assert calls == ["queue", "queue", "queue", "dead"]


def test_a_doubled_message_is_delivered_twice_with_the_same_id() -> None:
    disturbance = Disturbance(double=1.0)
    bench = Bench(QueueSettings(requires_duplicate_detection=True), disturbance)
    bench.queue.send([a_message("a", "x"), a_message("b", "y", scheduled_at=bench.clock.time + 1)])
    bench.clock.pass_by(1)
    locks = bench.take_all()
    assert [lock.message.message_id for lock in locks] == ["x", "x", "y", "y"]
    assert len({lock.message.sequence for lock in locks}) == 4
    disturbance.clear()
    bench.queue.send([a_message("c", "z")])
    assert len(bench.take_all()) == 1


def test_shuffled_messages_all_come_once_out_of_order_and_the_same_for_a_seed() -> None:
    orders = []
    for seed in (1, 1, 2):
        disturbance = Disturbance(shuffle=True)
        disturbance.seed(seed)
        bench = Bench(disturbance=disturbance)
        bench.send(*(str(n) for n in range(50)))
        orders.append(bench.texts())
    assert sorted(orders[0], key=int) == [str(n) for n in range(50)]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != sorted(orders[0], key=int)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["send", "schedule", "take", "complete", "abandon", "defer", "recall", "dead", "wait", "renew"]
        ),
        st.integers(0, 5),
    ),
    max_size=60,
)


@given(OPERATIONS)
def test_whatever_is_done_no_message_is_lost_or_doubled(operations: list[tuple[str, int]]) -> None:
    bench = Bench(QueueSettings(lock_duration_s=3, max_delivery_count=3))
    tokens: list[UUID] = [uuid4()]
    sent = completed = 0
    for act, number in operations:
        token = tokens[number % len(tokens)]
        try:
            match act:
                case "send":
                    sent += len(bench.send("m"))
                case "schedule":
                    sent += len(bench.send("m", scheduled_at=bench.clock.time + number))
                case "take":
                    tokens += [lock.token for lock in [bench.queue.take()] if lock is not None]
                case "complete":
                    bench.queue.complete(token)
                    completed += 1
                case "abandon":
                    bench.queue.abandon(token)
                case "defer":
                    bench.queue.defer(token)
                case "recall":
                    tokens += [lock.token for lock in bench.queue.take_deferred([number])]
                case "dead":
                    bench.queue.dead_letter(token, None, None)
                case "renew":
                    bench.queue.renew(token)
                case _:
                    bench.clock.pass_by(number)
        except AmqpError as rejection:
            assert rejection.condition in (LOST, UNKNOWN)
        assert sum(bench.queue.counts().values()) == sent - completed
        assert len(bench.queue) + len(bench.dead) == sent - completed
