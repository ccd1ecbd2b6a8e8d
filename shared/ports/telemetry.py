"""Telemetry for the operators of the app: spans of work, and figures. Never a name, an address, or a token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from shared.domain import trace_context

Attribute = str | int | float | bool


class Span(Protocol):
    """Work that is going on."""

    def note(self, **attributes: Attribute) -> None:
        """Add attributes to it."""
        ...


class Telemetry(Protocol):
    """Spans and figures. Inside a span `trace_context.current` is its context, for messages and for calls."""

    def work(self, name: str, traceparent: str, **attributes: Attribute) -> AbstractContextManager[Span]:
        """What one trigger does, as part of the trace that `traceparent` names, or of a new one. An exception is noted
        and goes on."""
        ...

    def call(self, name: str, **attributes: Attribute) -> AbstractContextManager[Span]:
        """A call of something outside."""
        ...

    def count(self, name: str, value: int = 1, **attributes: Attribute) -> None: ...

    def measure(self, name: str, value: float, **attributes: Attribute) -> None: ...


class _NoSpan:
    def note(self, **attributes: Attribute) -> None:
        return


_NO_SPAN = _NoSpan()


class Silent:
    """Implements Telemetry where nothing is configured: the context of the trace is handed on, nothing else."""

    @contextmanager
    def work(self, name: str, traceparent: str, **attributes: Attribute) -> Iterator[Span]:
        token = trace_context.current.set(traceparent)
        try:
            yield _NO_SPAN
        finally:
            trace_context.current.reset(token)

    @contextmanager
    def call(self, name: str, **attributes: Attribute) -> Iterator[Span]:
        yield _NO_SPAN

    def count(self, name: str, value: int = 1, **attributes: Attribute) -> None:
        return

    def measure(self, name: str, value: float, **attributes: Attribute) -> None:
        return


SILENT = Silent()
