"""The emulator as its own process, used by the unmodified Azure client: every case with the sync and the asyncio one.

Opening and closing a sender or receiver takes the client about a second, so they are shared between cases, and both
flavours run at the same time. Each has queues of its own, and each kind of receiver too: credit that a receiver did not
use stays with the broker and would take another one's messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from azure.servicebus import AutoLockRenewer as SyncRenewer
from azure.servicebus import ServiceBusClient as SyncClient
from azure.servicebus import ServiceBusMessage, ServiceBusMessageState, ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.aio import AutoLockRenewer, ServiceBusClient
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
)

from local.servicebus.config import QueueSettings
from local.servicebus.emulator import ServiceBusEmulator
from tests.integration import PATIENCE_S

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.asyncio(loop_scope="module")

FLAVOURS = ("sync", "asyncio")
QUEUES: dict[str, dict[str, Any]] = {
    "main": {"LockDuration": "PT30S", "MaxDeliveryCount": 3, "DeadLetteringOnMessageExpiration": True},
    "brief": {"LockDuration": "PT4S", "MaxDeliveryCount": 10},
    "held": {"LockDuration": "PT8S"},
    "once": {"RequiresDuplicateDetection": True, "DuplicateDetectionHistoryTimeWindow": "PT1M"},
    "fast": {},
    "ahead": {},
}


class Emulator:
    """The running process, and its control port."""

    def __init__(self, ports: dict[str, int], http: aiohttp.ClientSession) -> None:
        self.control = f"http://127.0.0.1:{ports['controlPort']}"
        self.connection_string = (
            f"Endpoint=sb://127.0.0.1:{ports['port']};SharedAccessKeyName=local;SharedAccessKey=local;"
            "UseDevelopmentEmulator=true"
        )
        self._http = http

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with self._http.request(method, f"{self.control}{path}", json=body) as response:
            return response.status, await response.json()

    async def counts(self, queue: str) -> dict[str, int]:
        counts: dict[str, int] = (await self.ask("GET", "/queues"))[1]["queues"][queue]
        return counts


class Handlers:
    """Senders and receivers of one flavour, opened when first used and kept; `do` runs a client call of either."""

    def __init__(self, flavour: str, emulator: Emulator) -> None:
        self.flavour = flavour
        self.emulator = emulator
        kind: Any = SyncClient if flavour == "sync" else ServiceBusClient
        self.client = kind.from_connection_string(emulator.connection_string, retry_total=0)
        self._kept: dict[tuple[str, str], Any] = {}

    def queue(self, name: str) -> str:
        return f"{self.flavour}-{name}"

    def sender(self, name: str) -> Any:
        return self._keep(("send", name), lambda: self.client.get_queue_sender(self.queue(name)))

    def receiver(self, name: str, **options: Any) -> Any:
        key = ("receive", f"{name} {options}")
        return self._keep(key, lambda: self.client.get_queue_receiver(self.queue(name), **options))

    def dead(self, name: str) -> Any:
        return self.receiver(name, sub_queue=ServiceBusSubQueue.DEAD_LETTER)

    def _keep(self, key: tuple[str, str], build: Callable[[], Any]) -> Any:
        if key not in self._kept:
            self._kept[key] = build()
        return self._kept[key]

    async def do(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if self.flavour == "sync":
            return await asyncio.to_thread(call, *args, **options)
        return await call(*args, **options)

    async def send(self, name: str, *texts: str, **options: Any) -> None:
        await self.do(self.sender(name).send_messages, [ServiceBusMessage(text, **options) for text in texts])

    async def receive(self, receiver: Any, count: int, wait_s: float = PATIENCE_S) -> list[Any]:
        """As many messages, in as many calls as it takes."""
        got: list[Any] = []
        end = time.monotonic() + wait_s
        while len(got) < count and time.monotonic() < end:
            left = max(0.1, end - time.monotonic())
            got += await self.do(receiver.receive_messages, count - len(got), max_wait_time=left)
        assert len(got) == count
        return got

    async def counts(self, name: str) -> dict[str, int]:
        return await self.emulator.counts(self.queue(name))

    async def close(self) -> None:
        await asyncio.gather(*(self.do(each.close) for each in self._kept.values()))
        await self.do(self.client.close)


def declaration() -> dict[str, Any]:
    names = [(f"{flavour}-{name}", properties) for flavour in FLAVOURS for name, properties in QUEUES.items()]
    queues = [{"Name": name, "Properties": properties} for name, properties in names]
    return {"UserConfig": {"Namespaces": [{"Name": "tests", "Queues": queues}]}}


@contextlib.asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m local.servicebus`, killed at the end if it still runs."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.servicebus", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.kill()
        await running.communicate()


async def ports_of(running: asyncio.subprocess.Process) -> dict[str, int]:
    assert running.stdout is not None
    ports: dict[str, int] = json.loads(await asyncio.wait_for(running.stdout.readline(), PATIENCE_S))
    return ports


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def emulator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Emulator]:
    path = tmp_path_factory.mktemp("servicebus") / "queues.json"
    path.write_text(json.dumps(declaration()))
    arguments = ("--config", str(path), "--port", "0", "--control-port", "0")
    async with process(*arguments) as running, aiohttp.ClientSession() as http:
        yield Emulator(await ports_of(running), http)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(emulator: Emulator) -> AsyncIterator[dict[str, Handlers]]:
    kept = {flavour: Handlers(flavour, emulator) for flavour in FLAVOURS}
    yield kept
    await asyncio.gather(*(each.close() for each in kept.values()))


def with_both_clients(case: Callable[[Handlers], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """The case as a test that runs it with both flavours at once, on empty queues; says which one failed."""

    async def run(both: dict[str, Handlers]) -> None:
        await both["sync"].emulator.ask("POST", "/purge")
        results = await asyncio.gather(*(case(each) for each in both.values()), return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        for flavour, result in zip(both, results, strict=True):
            if result is not None:
                result.add_note(f"with the {flavour} client")
        if failed:
            raise BaseExceptionGroup("with " + " and ".join(sorted(str(each.__notes__) for each in failed)), failed)

    run.__name__, run.__doc__ = getattr(case, "__name__", "case"), case.__doc__
    return run


def in_seconds(seconds: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)


def texts(messages: list[Any]) -> list[str]:
    return [str(each) for each in messages]


@with_both_clients
async def test_a_message_keeps_its_properties_and_is_gone_when_completed(bus: Handlers) -> None:
    sent = ServiceBusMessage(
        b"body",
        message_id="m-1",
        subject="s",
        correlation_id="c",
        content_type="application/json",
        application_properties={"text": "t", "number": 7},
        time_to_live=dt.timedelta(minutes=5),
        partition_key="p",
        reply_to="r",
    )
    await bus.do(bus.sender("main").send_messages, sent)
    (got,) = await bus.receive(bus.receiver("main"), 1)
    assert (str(got), got.message_id, got.subject, got.correlation_id) == ("body", "m-1", "s", "c")
    assert (got.content_type, got.partition_key, got.reply_to) == ("application/json", "p", "r")
    assert got.application_properties == {b"text": b"t", b"number": 7}
    assert (got.delivery_count, got.time_to_live) == (0, dt.timedelta(minutes=5))
    assert abs((got.enqueued_time_utc - in_seconds(0)).total_seconds()) < PATIENCE_S
    assert 0 < (got.locked_until_utc - in_seconds(0)).total_seconds() <= 30
    assert (await bus.counts("main"))["locked"] == 1
    await bus.do(bus.receiver("main").complete_message, got)
    assert set((await bus.counts("main")).values()) == {0}


@with_both_clients
async def test_lists_and_batches_come_in_order_with_rising_numbers(bus: Handlers) -> None:
    await bus.send("main", *(f"list-{n}" for n in range(5)))
    batch = await bus.do(bus.sender("main").create_message_batch)
    for number in range(5):
        batch.add_message(ServiceBusMessage(f"batch-{number}"))
    await bus.do(bus.sender("main").send_messages, batch)
    got = await bus.receive(bus.receiver("main"), 10)
    assert texts(got) == [*(f"list-{n}" for n in range(5)), *(f"batch-{n}" for n in range(5))]
    numbers = [each.sequence_number for each in got]
    assert numbers == sorted(set(numbers))
    for each in got:
        await bus.do(bus.receiver("main").complete_message, each)
    assert (await bus.counts("main"))["locked"] == 0


@with_both_clients
async def test_every_kind_of_body_comes_through_unchanged(bus: Handlers) -> None:
    value, sequence = {b"a": [1, True, None]}, [[b"x", 1], [b"y"]]
    sent: list[Any] = [
        AmqpAnnotatedMessage(value_body=value, footer={"f": "1"}, annotations={"own": 5}),
        AmqpAnnotatedMessage(sequence_body=sequence),
        AmqpAnnotatedMessage(data_body=[b"one", b"two"], header={"priority": 9}),
    ]
    for each in sent:
        await bus.do(bus.sender("main").send_messages, each)
    raw = [each.raw_amqp_message for each in await bus.receive(bus.receiver("main"), 3)]
    assert [each.body_type for each in raw] == [
        AmqpMessageBodyType.VALUE,
        AmqpMessageBodyType.SEQUENCE,
        AmqpMessageBodyType.DATA,
    ]
    assert raw[0].body == value
    assert list(raw[1].body) == sequence
    assert list(raw[2].body) == [b"one", b"two"]
    assert (raw[0].footer, raw[0].annotations[b"own"], raw[2].header.priority) == ({b"f": b"1"}, 5, 9)


@with_both_clients
async def test_a_large_message_comes_whole_and_one_over_the_limit_is_rejected(bus: Handlers) -> None:
    await bus.send("main", "x" * 200_000)
    (got,) = await bus.receive(bus.receiver("main"), 1)
    assert len(str(got)) == 200_000
    await bus.do(bus.receiver("main").complete_message, got)
    with pytest.raises(MessageSizeExceededError):
        await bus.do(bus.sender("main").send_messages, ServiceBusMessage("x" * 300_000))
    await bus.send("main", "after")
    assert texts(await bus.receive(bus.receiver("main"), 1)) == ["after"]


@with_both_clients
async def test_a_queue_that_is_not_declared_is_not_found(bus: Handlers) -> None:
    sender, receiver = bus.client.get_queue_sender("absent"), bus.client.get_queue_receiver("absent")
    with pytest.raises(MessagingEntityNotFoundError):
        await bus.do(sender.send_messages, ServiceBusMessage("m"))
    with pytest.raises(MessagingEntityNotFoundError):
        await bus.do(receiver.receive_messages, 1, max_wait_time=PATIENCE_S)
    await asyncio.gather(bus.do(sender.close), bus.do(receiver.close))


@with_both_clients
async def test_an_empty_queue_gives_nothing_after_the_wait(bus: Handlers) -> None:
    start = time.monotonic()
    assert await bus.do(bus.receiver("main").receive_messages, 5, max_wait_time=3) == []
    assert time.monotonic() - start > 2.9


@with_both_clients
async def test_a_message_abandoned_too_often_is_dead_with_the_reason(bus: Handlers) -> None:
    await bus.send("main", "bad")
    for attempt in range(3):
        (got,) = await bus.receive(bus.receiver("main"), 1)
        assert got.delivery_count == attempt
        await bus.do(bus.receiver("main").abandon_message, got)
    (dead,) = await bus.receive(bus.dead("main"), 1)
    assert (str(dead), dead.dead_letter_reason) == ("bad", "MaxDeliveryCountExceeded")
    await bus.do(bus.dead("main").complete_message, dead)
    assert set((await bus.counts("main")).values()) == {0}


@with_both_clients
async def test_a_dead_lettered_message_shows_reason_and_description_to_client_and_control(bus: Handlers) -> None:
    await bus.send("main", "one", "x" * 6000, application_properties={"kept": "yes"}, message_id="id")
    for got in await bus.receive(bus.receiver("main"), 2):
        await bus.do(bus.receiver("main").dead_letter_message, got, reason="Poison", error_description="why")
    status, listed = await bus.emulator.ask("GET", f"/queues/{bus.queue('main')}/deadletter")
    assert status == 200
    assert [(each["id"], each["reason"], each["description"]) for each in listed] == [("id", "Poison", "why")] * 2
    assert [len(each["body"]) for each in listed] == [3, 4096]
    for dead in await bus.receive(bus.dead("main"), 2):
        assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("Poison", "why")
        assert dead.application_properties[b"kept"] == b"yes"
        await bus.do(bus.dead("main").complete_message, dead)


@with_both_clients
async def test_when_a_lock_ends_the_message_comes_again_and_the_old_one_cannot_be_settled(bus: Handlers) -> None:
    receiver = bus.receiver("brief")
    await bus.send("brief", "m")
    (first,) = await bus.receive(receiver, 1)
    (again,) = await bus.receive(receiver, 1)
    assert (again.delivery_count, again.sequence_number) == (1, first.sequence_number)
    assert again.lock_token != first.lock_token
    with pytest.raises(MessageLockLostError):
        await bus.do(receiver.complete_message, first)
    await bus.do(receiver.complete_message, again)


@with_both_clients
async def test_a_renewed_lock_keeps_the_message(bus: Handlers) -> None:
    receiver = bus.receiver("brief")
    await bus.send("brief", "m")
    (got,) = await bus.receive(receiver, 1)
    before = got.locked_until_utc
    for _ in range(3):
        await asyncio.sleep(0.5)
        renewed = await bus.do(receiver.renew_message_lock, got)
    assert renewed > before + dt.timedelta(seconds=1)
    await bus.do(receiver.complete_message, got)
    assert set((await bus.counts("brief")).values()) == {0}


@with_both_clients
async def test_many_locks_are_renewed_at_once_over_one_connection(bus: Handlers) -> None:
    receiver = bus.receiver("main")
    await bus.send("main", *(str(n) for n in range(20)))
    got = await bus.receive(receiver, 20)
    renewed = await asyncio.gather(*(bus.do(receiver.renew_message_lock, each) for each in got))
    assert len(renewed) == 20
    for each in got:
        await bus.do(receiver.complete_message, each)
    assert (await bus.counts("main"))["locked"] == 0


@with_both_clients
async def test_the_clients_own_renewer_holds_ten_messages_past_their_lock(bus: Handlers) -> None:
    receiver = bus.receiver("held")
    # The client renews when three quarters of the lock are left: six seconds, which a busy machine does not use up.
    renewer: Any = SyncRenewer() if bus.flavour == "sync" else AutoLockRenewer()
    await bus.send("held", *(str(n) for n in range(10)))
    got = await bus.receive(receiver, 10)
    for each in got:
        renewer.register(receiver, each, max_lock_renewal_duration=20)
    await asyncio.sleep(9)
    assert (await bus.counts("held"))["locked"] == 10
    for each in got:
        await bus.do(receiver.complete_message, each)
    await bus.do(renewer.close)
    assert set((await bus.counts("held")).values()) == {0}


@with_both_clients
async def test_scheduled_messages_come_at_their_time_unless_cancelled(bus: Handlers) -> None:
    sender = bus.sender("main")
    at = in_seconds(8)
    await bus.send("main", "annotated", scheduled_enqueue_time_utc=at)
    messages = [ServiceBusMessage("managed"), ServiceBusMessage("cancelled")]
    numbers = await bus.do(sender.schedule_messages, messages, at)
    assert len(set(numbers)) == 2
    await bus.do(sender.cancel_scheduled_messages, numbers[1])
    with pytest.raises(MessageNotFoundError):
        await bus.do(sender.cancel_scheduled_messages, numbers[1])
    peeked = await bus.do(bus.receiver("main").peek_messages, 5)
    assert [(str(each), each.state) for each in peeked] == [
        ("annotated", ServiceBusMessageState.SCHEDULED),
        ("managed", ServiceBusMessageState.SCHEDULED),
    ]
    assert (await bus.counts("main"))["scheduled"] == 2
    got = await bus.receive(bus.receiver("main"), 2)
    assert in_seconds(0) >= at
    assert sorted(texts(got)) == ["annotated", "managed"]
    assert all(each.state is ServiceBusMessageState.ACTIVE for each in got)


@with_both_clients
async def test_peeking_goes_on_from_a_number_and_locks_nothing(bus: Handlers) -> None:
    receiver = bus.receiver("main")
    await bus.send("main", *"abcdef")
    first = await bus.do(receiver.peek_messages, 4, sequence_number=1)
    rest = await bus.do(receiver.peek_messages, 9, sequence_number=first[-1].sequence_number + 1)
    assert texts([*first, *rest]) == list("abcdef")
    assert await bus.do(receiver.peek_messages, 9, sequence_number=rest[-1].sequence_number + 1) == []
    assert (await bus.counts("main"))["active"] == 6


@with_both_clients
async def test_deferred_messages_are_received_by_number_and_settled(bus: Handlers) -> None:
    receiver = bus.receiver("main")
    await bus.send("main", *"abcd")
    for each in await bus.receive(receiver, 4):
        await bus.do(receiver.defer_message, each)
    peeked = await bus.do(receiver.peek_messages, 9, sequence_number=1)
    assert [each.state for each in peeked] == [ServiceBusMessageState.DEFERRED] * 4
    got = await bus.do(receiver.receive_deferred_messages, [each.sequence_number for each in peeked])
    assert texts(got) == list("abcd")
    await bus.do(receiver.renew_message_lock, got[0])
    await bus.do(receiver.complete_message, got[0])
    await bus.do(receiver.abandon_message, got[1])
    await bus.do(receiver.dead_letter_message, got[2], reason="Poison")
    await bus.do(receiver.defer_message, got[3])
    assert await bus.counts("main") == {"active": 0, "scheduled": 0, "locked": 0, "deferred": 2, "deadLetter": 1}
    with pytest.raises(MessageNotFoundError):
        await bus.do(receiver.receive_deferred_messages, got[0].sequence_number)


@with_both_clients
async def test_receiving_and_deleting_needs_no_settlement(bus: Handlers) -> None:
    receiver = bus.receiver("fast", receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE)
    await bus.send("fast", *"ab")
    assert texts(await bus.receive(receiver, 2)) == ["a", "b"]
    assert set((await bus.counts("fast")).values()) == {0}


@with_both_clients
async def test_an_expired_message_is_dead_where_the_queue_says_so(bus: Handlers) -> None:
    await bus.send("main", "short", time_to_live=dt.timedelta(seconds=0.3))
    (dead,) = await bus.receive(bus.dead("main"), 1)
    assert (str(dead), dead.dead_letter_reason) == ("short", "TTLExpiredException")
    await bus.do(bus.dead("main").complete_message, dead)


@with_both_clients
async def test_a_message_sent_again_with_its_id_is_dropped(bus: Handlers) -> None:
    for name in ("first", "second"):
        await bus.send("once", name, message_id="same")
        await bus.send("once", name, message_id=name)
    peeked = await bus.do(bus.receiver("once").peek_messages, 9, sequence_number=1)
    assert texts(peeked) == ["first", "first", "second"]


@with_both_clients
async def test_what_was_fetched_ahead_and_not_used_returns_uncounted_when_the_receiver_closes(bus: Handlers) -> None:
    await bus.send("ahead", *(str(n) for n in range(10)))
    receiver = bus.client.get_queue_receiver(bus.queue("ahead"), prefetch_count=20)
    (first,) = await bus.receive(receiver, 1)
    await bus.do(receiver.complete_message, first)
    assert (await bus.counts("ahead"))["locked"] == 9
    await bus.do(receiver.close)
    again = await bus.receive(bus.receiver("ahead"), 9)
    assert [(str(each), each.delivery_count) for each in again] == [(str(n), 0) for n in range(1, 10)]


@with_both_clients
async def test_messages_can_be_iterated_until_none_come(bus: Handlers) -> None:
    await bus.send("brief", *"abc")
    receiver = bus.client.get_queue_receiver(bus.queue("brief"), max_wait_time=3)
    got = []
    if bus.flavour == "sync":

        def drain() -> None:
            for message in receiver:
                got.append(str(message))
                receiver.complete_message(message)

        await asyncio.to_thread(drain)
    else:
        async for message in receiver:
            got.append(str(message))
            await receiver.complete_message(message)
    await bus.do(receiver.close)
    assert got == list("abc")


async def test_faults_double_and_shuffle_what_is_delivered_until_they_are_cleared(both: dict[str, Handlers]) -> None:
    bus = both["asyncio"]
    await bus.emulator.ask("POST", "/purge")
    assert (await bus.emulator.ask("POST", "/faults", {"double": 1, "shuffle": True, "seed": 3}))[0] == 200
    try:
        await bus.send("main", *(str(n) for n in range(20)))
        got = await bus.receive(bus.receiver("main"), 40)
        assert sorted(texts(got)) == sorted([str(n) for n in range(20)] * 2)
        assert texts(got) != sorted(texts(got), key=int)
    finally:
        await bus.emulator.ask("DELETE", "/faults")
    for each in got:
        await bus.do(bus.receiver("main").complete_message, each)
    await bus.send("main", "x", "y")
    assert texts(await bus.receive(bus.receiver("main"), 2)) == ["x", "y"]


WORKER = """
import asyncio, sys
from azure.servicebus.aio import ServiceBusClient
async def work():
    client = ServiceBusClient.from_connection_string(sys.argv[1])
    receiver = client.get_queue_receiver(sys.argv[2])
    got = await receiver.receive_messages(5, max_wait_time=60)
    print(len(got), flush=True)
    await asyncio.sleep(600)
asyncio.run(work())
"""


async def test_messages_of_a_killed_worker_return_when_their_lock_ends(both: dict[str, Handlers]) -> None:
    bus = both["asyncio"]
    await bus.emulator.ask("POST", "/purge")
    queue = bus.queue("brief")
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WORKER, bus.emulator.connection_string, queue), stdout=asyncio.subprocess.PIPE
    )
    try:
        await bus.send("brief", "a", "b")
        assert worker.stdout is not None
        taken = int(await asyncio.wait_for(worker.stdout.readline(), PATIENCE_S))
    finally:
        worker.kill()
        await worker.communicate()
    counts = await bus.counts("brief")
    assert counts["locked"] + counts["active"] == 2
    got = await bus.receive(bus.receiver("brief"), 2)
    assert sum(each.delivery_count for each in got) == taken
    for each in got:
        await bus.do(bus.receiver("brief").complete_message, each)


@pytest.mark.parametrize(
    "body",
    [{}, [], {"double": 2}, {"awaySeconds": -1}, {"shuffle": "yes"}, {"speed": 1}, {"double": True}, {"seed": "x"}],
)
async def test_faults_that_make_no_sense_are_rejected(emulator: Emulator, body: Any) -> None:
    status, answer = await emulator.ask("POST", "/faults", body)
    assert status == 400
    assert answer["error"]


async def test_dead_letters_of_an_unknown_queue_are_not_found(emulator: Emulator) -> None:
    status, answer = await emulator.ask("GET", "/queues/absent/deadletter")
    assert (status, "absent" in answer["error"]) == (404, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_says_when_it_is_ready_and_ends_well_when_asked(number: int) -> None:
    declared = str(ROOT / "infra" / "servicebus-config.json")
    async with process("--config", declared, "--port", "0", "--control-port", "0") as running:
        ports = await ports_of(running)
        reader, writer = await asyncio.open_connection("127.0.0.1", ports["port"])
        writer.write(b"AMQP\x00\x01\x00\x00")
        assert await reader.readexactly(8) == b"AMQP\x00\x01\x00\x00"
        os.kill(running.pid, number)
        assert await asyncio.wait_for(running.wait(), PATIENCE_S) == 0
        writer.close()


async def test_a_wrong_declaration_ends_the_process_with_every_fault(tmp_path: Path) -> None:
    path = tmp_path / "queues.json"
    queues = [
        {"Name": "a", "Properties": {"LockDuration": "1m"}},
        {"Name": "b", "Properties": {"RequiresSession": True}},
    ]
    path.write_text(json.dumps({"UserConfig": {"Namespaces": [{"Queues": queues}]}}))
    async with process("--config", str(path), "--port", "0") as running:
        output, observed = await asyncio.wait_for(running.communicate(), PATIENCE_S)
        assert (running.returncode, output) == (2, b"")
        assert b"queue a: LockDuration" in observed
        assert b"queue b: RequiresSession" in observed


async def test_a_test_can_run_the_emulator_in_its_own_event_loop() -> None:
    async with (
        ServiceBusEmulator({"q": QueueSettings()}, port=0) as running,
        ServiceBusClient.from_connection_string(running.connection_string) as client,
        client.get_queue_sender("q") as sender,
        client.get_queue_receiver("q") as receiver,
    ):
        await sender.send_messages(ServiceBusMessage("here"))
        (got,) = await receiver.receive_messages(1, max_wait_time=PATIENCE_S)
        await receiver.complete_message(got)
        assert running.broker.queues["q"].counts()["locked"] == 0
        assert str(got) == "here"


async def test_after_an_outage_a_client_comes_back_by_itself_and_locks_still_hold() -> None:
    async with (
        ServiceBusEmulator({"q": QueueSettings()}, port=0) as running,
        ServiceBusClient.from_connection_string(running.connection_string, retry_backoff_factor=0.3) as client,
        client.get_queue_sender("q") as sender,
        client.get_queue_receiver("q") as receiver,
    ):
        await sender.send_messages([ServiceBusMessage("held"), ServiceBusMessage("waiting")])
        (held,) = await receiver.receive_messages(1, max_wait_time=PATIENCE_S)
        running.go_away(1.0)
        with pytest.raises(OSError, match=r"."):
            await rejected_connection(running.port)
        await sender.send_messages(ServiceBusMessage("after"))
        assert running.broker.queues["q"].counts()["locked"] == 1
        await receiver.complete_message(held)
        got: list[str] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(got) < 2:
                got += [str(each) for each in await receiver.receive_messages(2, max_wait_time=5)]
        assert got == ["waiting", "after"]


async def rejected_connection(port: int) -> None:
    """Raises OSError when the broker ends the connection before it says anything."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"AMQP\x00\x01\x00\x00")
        await reader.readexactly(8)
    except asyncio.IncompleteReadError as ended:
        raise ConnectionResetError("ended at once") from ended
    finally:
        writer.close()


async def test_time_that_is_let_pass_gives_out_what_falls_due_meanwhile_and_no_more(tmp_path: Path) -> None:
    declared = tmp_path / "queues.json"
    declared.write_text(json.dumps(declaration()))
    now = dt.datetime.now(dt.UTC)
    async with (
        process("--config", str(declared), "--port", "0", "--control-port", "0") as running,
        aiohttp.ClientSession() as http,
    ):
        bus = Handlers("asyncio", Emulator(await ports_of(running), http))
        for hours in (2, 30):
            at = now + dt.timedelta(hours=hours)
            await bus.do(bus.sender("main").schedule_messages, ServiceBusMessage(str(hours)), at)
        assert (await bus.counts("main"))["scheduled"] == 2
        assert (await bus.emulator.ask("POST", "/clock", {"passSeconds": 3 * 3600}))[0] == 200
        assert texts(await bus.receive(bus.receiver("main"), 1)) == ["2"]
        assert (await bus.counts("main"))["scheduled"] == 1
        rejected: tuple[Any, ...] = ({}, [], {"passSeconds": -1}, {"passSeconds": 1, "x": 2}, {"passSeconds": "1"})
        for wrong in rejected:
            assert (await bus.emulator.ask("POST", "/clock", wrong))[0] == 400
        await bus.close()
