"""The queue trigger of the function host against the Service Bus emulator, and the stack's start and end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from local.host.bus import BusTrigger
from local.host.metadata import Function, HostSettings
from local.processes import StartError
from local.servicebus.config import QueueSettings
from local.servicebus.emulator import ServiceBusEmulator
from local.stack import ROOT, Stack, StackOptions
from tests.integration import PATIENCE_S

QUEUES = {"work": QueueSettings(lock_duration_s=6.0, max_delivery_count=3)}


class Worker:
    """A queue function with memory: its messages, and the instruction for each."""

    def __init__(self, behave: Callable[[str], Any]) -> None:
        self.seen: list[tuple[str, int]] = []
        self.ended: list[str] = []
        self.answer: str | None = None
        self.running = self.most = 0
        self._behave = behave

    async def __call__(self, message: func.ServiceBusMessage) -> str | None:
        body = message.get_body().decode()
        self.seen.append((body, message.delivery_count or 0))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self._behave(body)
            self.ended.append(body)
            return self.answer
        finally:
            self.running -= 1


@asynccontextmanager
async def working(worker: Worker, bodies: list[str], **host: Any) -> AsyncIterator[ServiceBusEmulator]:
    async with ServiceBusEmulator(QUEUES) as emulator:
        trigger = {"queueName": "work"}
        call = worker.__call__
        served = Function("work", "serviceBusTrigger", "message", call, trigger, takes_context=False, has_output=False)
        bus = BusTrigger(served, HostSettings(**host), emulator.connection_string, ROOT)
        task = asyncio.create_task(bus.run())
        async with (
            ServiceBusClient.from_connection_string(emulator.connection_string) as client,
            client.get_queue_sender("work") as sender,
        ):
            await sender.send_messages([ServiceBusMessage(body) for body in bodies])
            try:
                yield emulator
            finally:
                bus.stop()
                await asyncio.wait_for(task, PATIENCE_S)


async def until(condition: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    ending = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ending, "it did not come to that"
        await asyncio.sleep(0.05)


async def test_what_returns_is_completed_and_what_raises_is_delivered_again_until_it_is_dead() -> None:
    async def behave(body: str) -> None:
        if body == "bad":
            raise RuntimeError("told to")

    worker = Worker(behave)
    async with working(worker, ["good", "bad"]) as emulator:
        queue = emulator.broker.queues["work"]
        await until(lambda: queue.counts()["deadLetter"] == 1 and queue.counts()["locked"] == 0)
        assert queue.counts()["active"] == 0
    assert sorted(worker.seen) == [("bad", 1), ("bad", 2), ("bad", 3), ("good", 1)]


async def test_the_lock_of_a_long_running_function_is_renewed() -> None:
    async def behave(body: str) -> None:
        await asyncio.sleep(8)

    worker = Worker(behave)
    async with working(worker, ["long", "longer"]) as emulator:
        await until(lambda: len(worker.seen) == 2 and worker.running == 0)
        await until(lambda: emulator.broker.queues["work"].counts()["locked"] == 0)
    assert sorted(worker.seen) == [("long", 1), ("longer", 1)]


async def test_no_more_functions_run_at_once_than_the_host_allows() -> None:
    async def behave(body: str) -> None:
        await asyncio.sleep(0.1)

    worker = Worker(behave)
    async with working(worker, [str(n) for n in range(9)], max_concurrent_calls=2):
        await until(lambda: len(worker.seen) == 9 and worker.running == 0)
    assert worker.most == 2


async def test_a_lost_lock_disturbs_no_other_function_and_its_message_comes_again() -> None:
    async def behave(body: str) -> None:
        if body == "slow":
            await asyncio.sleep(7)
        elif len(worker.seen) == 2:
            time.sleep(6.5)

    worker = Worker(behave)
    async with working(worker, ["slow", "blocking"]) as emulator:
        queue = emulator.broker.queues["work"]
        await until(lambda: worker.running == 0 and sum(queue.counts().values()) == 0)
    assert worker.ended.count("slow") == len([body for body, _ in worker.seen if body == "slow"])
    assert len(worker.seen) > 2


async def test_a_queue_function_that_returns_a_value_fails_and_its_message_comes_again() -> None:
    async def behave(body: str) -> None:
        worker.answer = body if body == "returns" else None

    worker = Worker(behave)
    async with working(worker, ["returns", "good"], max_concurrent_calls=1) as emulator:
        queue = emulator.broker.queues["work"]
        await until(lambda: queue.counts()["deadLetter"] == 1 and queue.counts()["locked"] == 0)
    assert sorted(worker.seen) == [("good", 1), ("returns", 1), ("returns", 2), ("returns", 3)]


def test_a_stack_whose_part_cannot_start_names_it_and_leaves_nothing_running(tmp_path: Path) -> None:
    bad = tmp_path / "queues.json"
    bad.write_text(
        '{"UserConfig": {"Namespaces": [{"Queues": [{"Name": "jobs", "Properties": {"LockDuration": "x"}}]}]}}'
    )
    stack = Stack(StackOptions(members=20, state_dir=tmp_path / "state", broker_config=bad))
    with pytest.raises(StartError, match="servicebus"), stack:
        pytest.fail("it must not start")
    assert _processes_naming(str(tmp_path)) == []


def test_the_demo_stopped_by_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    state = tmp_path / "state"
    command = [sys.executable, "-m", "local.demo", "--members", "1000", "--state-dir", str(state)]
    with (tmp_path / "out").open("w") as out:
        demo = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        ending = time.monotonic() + 2 * PATIENCE_S
        while "Licensing" not in (tmp_path / "out").read_text() and time.monotonic() < ending:
            time.sleep(0.2)
        children = _children_of(demo.pid)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(PATIENCE_S) == 130
    assert len(children) > 8
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


def _children_of(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(each) for each in found.stdout.split()]


def _processes_naming(text: str) -> list[str]:
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in found if text in line and "pytest" not in line and str(os.getpid()) not in line]
