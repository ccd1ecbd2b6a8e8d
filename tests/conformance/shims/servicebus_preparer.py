"""Gives the SDK's queue tests a queue of their own in the emulator, where they would make one in Azure."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from local.servicebus.config import QueueSettings, duration_s
from local.servicebus.emulator import ServiceBusEmulator


class _Running:
    """The emulator in a thread of this process, started once."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.emulator = ServiceBusEmulator({})
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.call(self.emulator.__aenter__())

    def call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    async def make(self, name: str, settings: QueueSettings) -> None:
        self.emulator.broker.add(name, settings)


RUNNING = _Running()
SERVICEBUS_ENDPOINT_SUFFIX = f":{RUNNING.emulator.port}"
_KNOWN = {"dead_lettering_on_message_expiration", "lock_duration", "requires_duplicate_detection", "requires_session"}


def _passing(given: Callable[[], dict[str, Any]]) -> Callable[[Any], Any]:
    """A decorator that adds arguments to a test, asyncio or not; pytest sees the test's own arguments."""

    def decorate(test: Any) -> Any:
        if inspect.iscoroutinefunction(test):

            @functools.wraps(test)
            async def prepared(*args: Any, **options: Any) -> Any:
                return await test(*args, **{**given(), **options})

            return prepared

        @functools.wraps(test)
        def prepared_sync(*args: Any, **options: Any) -> Any:
            return test(*args, **{**given(), **options})

        return prepared_sync

    return decorate


def _queue(options: dict[str, Any]) -> dict[str, Any]:
    unknown = set(options) - _KNOWN - {"name_prefix", "use_cache", "random_name_enabled"}
    if unknown:
        raise TypeError(f"a queue with {', '.join(sorted(unknown))} is not offered")
    name = f"conformance-{uuid.uuid4().hex}"
    settings = QueueSettings(
        lock_duration_s=duration_s(options.get("lock_duration", "PT30S")),
        dead_letter_on_expiration=bool(options.get("dead_lettering_on_message_expiration", False)),
        requires_duplicate_detection=bool(options.get("requires_duplicate_detection", False)),
    )
    RUNNING.call(RUNNING.make(name, settings))
    return {"servicebus_queue": SimpleNamespace(name=name)}


def ServiceBusQueuePreparer(*args: Any, **options: Any) -> Any:  # noqa: N802 - the name the tests import
    return _passing(lambda: _queue(options))


def ServiceBusNamespacePreparer(*args: Any, **options: Any) -> Any:  # noqa: N802 - the name the tests import
    key = "SharedAccessKeyName=local;SharedAccessKey=local;UseDevelopmentEmulator=true"
    text = f"Endpoint=sb://127.0.0.1:{RUNNING.emulator.port};{key}"
    extra = {
        "servicebus_namespace": SimpleNamespace(name="127.0.0.1"),
        "servicebus_namespace_connection_string": text,
        "servicebus_namespace_key_name": "local",
        "servicebus_namespace_primary_key": "local",
    }
    return _passing(lambda: extra)


def ServiceBusResourceGroupPreparer(*args: Any, **options: Any) -> Any:  # noqa: N802 - the name the tests import
    return _passing(dict)


CachedServiceBusQueuePreparer = ServiceBusQueuePreparer
CachedServiceBusNamespacePreparer = ServiceBusNamespacePreparer
CachedServiceBusResourceGroupPreparer = ServiceBusResourceGroupPreparer
