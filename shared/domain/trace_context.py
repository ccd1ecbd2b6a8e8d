"""Trace context: from the request that began the work, in every message, to Graph (w3.org/TR/trace-context)."""

from __future__ import annotations

import json
import re
from contextvars import ContextVar

current: ContextVar[str] = ContextVar("traceparent", default="")
"""The `traceparent` of the work this task is doing; empty where none is known."""

operation: ContextVar[str] = ContextVar("operation", default="")
correlation: ContextVar[str] = ContextVar("correlation", default="")
"""The operation this task works for and the id its requester gave it, for the log."""

_ID = re.compile(r"[0-9A-Fa-f-]{8,64}")
_FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def is_traceparent(text: str) -> bool:
    return bool(_FORM.fullmatch(text))


def begun(given: str, token: str) -> str:
    """The context of the span under way, else the caller's `traceparent` where it is one, else a new one made of 32
    random hex digits."""
    for text in (current.get(), given):
        if is_traceparent(text):
            return text
    return f"00-{token}-{token[:15]}1-01"


def within(platform: object, given: str = "") -> str:
    """The context of the platform's own span around the invocation (`trace_parent` of what it hands in), else the
    caller's. Marked as kept: whether spans are kept is decided by our exporter, not by the platform or the caller."""
    for text in (getattr(platform, "trace_parent", None), given):
        if isinstance(text, str) and is_traceparent(text):
            return f"{text[:-2]}01"
    return ""


def ids() -> str:
    """The context of the task at the end of a log line: `trace=... operation=... correlation=...`. A requester's id is
    included only if it consists of hex digits or is a GUID, because it can be any text, even a name."""
    trace, known = current.get(), correlation.get()
    found = {
        "trace": trace[3:35] if trace else "",
        "operation": operation.get(),
        "correlation": known if _ID.fullmatch(known) else "",
    }
    return " ".join(f"{name}={value}" for name, value in found.items() if value)


def followed(traceparent: str) -> None:
    """From now on this task works for that trace; within a span of the same trace, the span stays."""
    if current.get()[:36] != traceparent[:36]:
        current.set(traceparent)


def of_message(body: bytes) -> str:
    """The `traceparent` in the body of a message; empty where there is none. A CloudEvent's extension has the name too
    (github.com/cloudevents/spec, extension Distributed Tracing)."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(fields, dict):
        return ""
    found = fields.get("traceparent") or fields.get("trace") or ""
    return found if isinstance(found, str) and is_traceparent(found) else ""
