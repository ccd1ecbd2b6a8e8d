"""Invoke a function as the worker does: trigger objects from the library's own converters, a context, its result."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex
from threading import local
from typing import Any

import azure.functions as func
from azure.functions.meta import Datum, get_binding_registry

from local.host.metadata import Function

_TRACE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_THREADS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="invocation")


class ReturnedValue(Exception):
    """A function without an output returned something: the worker fails such an invocation."""


class TraceContext:
    """The host's own span around an invocation: of the caller's trace, or the first of a new one."""

    def __init__(self, traceparent: str) -> None:
        trace = traceparent[3:35] if _TRACE.fullmatch(traceparent) else token_hex(16)
        self.trace_parent = f"00-{trace}-{token_hex(8)}-00"
        self.trace_state = ""
        self.attributes: dict[str, str] = {}


class Context(func.Context):
    """The context of an invocation that a function can read."""

    def __init__(self, function: Function, directory: Path, traceparent: str = "") -> None:
        self._trace = TraceContext(traceparent)
        self._id = str(uuid.uuid4())
        self._name = function.name
        self._directory = str(directory)
        self._storage = local()

    @property
    def invocation_id(self) -> str:
        return self._id

    @property
    def thread_local_storage(self) -> Any:
        return self._storage

    @property
    def function_name(self) -> str:
        return self._name

    @property
    def function_directory(self) -> str:
        return self._directory

    @property
    def trace_context(self) -> Any:
        return self._trace

    @property
    def retry_context(self) -> Any:
        return None


async def invoke(function: Function, argument: Any, directory: Path, traceparent: str = "") -> Any:
    """Run the function; what it raises is raised. `traceparent`: the caller's, where it sent one."""
    arguments = {function.arg: argument}
    if function.takes_context:
        arguments["context"] = Context(function, directory, traceparent)
    if function.is_async:
        result = await function.call(**arguments)
    else:
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(_THREADS, lambda: function.call(**arguments))
    if result is not None and not function.has_output:
        raise ReturnedValue(f"function {function.name} returned a {type(result).__name__} and has no output")
    return result


def bus_message(body: bytes, metadata: dict[str, Any]) -> Any:
    """A ServiceBusMessage from body and delivery metadata, as the host passes them."""
    shown = {key: _datum(value) for key, value in metadata.items()}
    converter = _registry().get("serviceBusTrigger")
    return converter.decode(Datum(body, "bytes"), trigger_metadata=shown)


def timer_request(*, past_due: bool) -> Any:
    """A TimerRequest."""
    body = json.dumps({"IsPastDue": past_due, "Schedule": {}, "ScheduleStatus": None})
    return _registry().get("timerTrigger").decode(Datum(body, "json"), trigger_metadata={})


def _registry() -> Any:
    return get_binding_registry()  # type: ignore[no-untyped-call]  # the library has no types there


def _datum(value: Any) -> Datum:
    if value is None:
        return Datum(None, None)
    return Datum(value, "string") if isinstance(value, str) else Datum(json.dumps(value, default=str), "json")
