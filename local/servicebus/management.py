"""`<queue>/$management`: renew, schedule, cancel, peek, deferred messages, and settlement by lock token.

Operations: learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from local.servicebus.amqp.types import AmqpError, Array, Int, Long, Symbol, Timestamp
from local.servicebus.message import Message, parse, render
from local.servicebus.queue import LOCK_LOST, NOT_FOUND, Lock, Queue
from local.servicebus.requests import Request, RequestNode, Response

ARGUMENT = "com.microsoft:argument-error"
STATUS = {LOCK_LOST: 410, NOT_FOUND: 404}
"""HTTP-like status of an error; 400 for the others."""
PEEK_BYTES = 1_000_000
"""One answer to a peek; it always has at least one message."""
PEEK_LOCK = 1
"""receiver-settle-mode second."""

_Body = dict[str, Any]


class ManagementNode(RequestNode):
    """Serves the management operations of one queue."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._operations: dict[str, Callable[[_Body], _Body | None]] = {
            "com.microsoft:renew-lock": self._renew,
            "com.microsoft:schedule-message": self._schedule,
            "com.microsoft:cancel-scheduled-message": self._cancel,
            "com.microsoft:peek-message": self._peek,
            "com.microsoft:receive-by-sequence-number": self._receive_deferred,
            "com.microsoft:update-disposition": self._update,
        }

    def answer(self, request: Request) -> Response:
        try:
            result = self._perform(request)
        except AmqpError as rejection:
            return Response(
                {
                    "statusCode": Int(STATUS.get(rejection.condition, 400)),
                    "statusDescription": str(rejection),
                    "errorCondition": Symbol(rejection.condition),
                },
                {},
            )
        status = 204 if result is None else 200
        return Response({"statusCode": Int(status), "statusDescription": "OK"}, result or {})

    def _perform(self, request: Request) -> _Body | None:
        """The body of the response; None for no content. Raises AmqpError."""
        operation = self._operations.get(request.operation)
        if operation is None:
            raise AmqpError("amqp:not-implemented", f"The operation {request.operation!r} is not supported.")
        if not isinstance(request.body, dict):
            raise AmqpError(ARGUMENT, f"{request.operation} needs a map as its body.")
        return operation(request.body)

    def _renew(self, body: _Body) -> _Body:
        ends = [self._queue.renew(token) for token in _tokens(body)]
        return {"expirations": Array(tuple(Timestamp(end * 1000) for end in ends))}

    def _schedule(self, body: _Body) -> _Body:
        messages = [parse(_entry(each)) for each in _list(body, "messages")]
        return {"sequence-numbers": Array(tuple(Long(number) for number in self._queue.send(messages)))}

    def _cancel(self, body: _Body) -> _Body:
        self._queue.cancel(_numbers(body, "sequence-numbers"))
        return {}

    def _peek(self, body: _Body) -> _Body | None:
        first, count = _number(body, "from-sequence-number"), _number(body, "message-count")
        shown: list[Any] = []
        size = 0
        for message in self._queue.peek(first, count):
            size += message.size
            if shown and size > PEEK_BYTES:
                break
            shown.append({"message": render(message)})
        return {"messages": shown} if shown else None

    def _receive_deferred(self, body: _Body) -> _Body:
        numbers = _numbers(body, "sequence-numbers")
        taken: list[Lock] | list[Message]
        if _number(body, "receiver-settle-mode") == PEEK_LOCK:
            taken = self._queue.take_deferred(numbers)
        else:
            taken = self._queue.take_deferred_for_good(numbers)
        return {"messages": [_deferred(each) for each in taken]}

    def _update(self, body: _Body) -> _Body:
        act = self._settlement(body)
        for token in _tokens(body):
            act(token)
        return {}

    def _settlement(self, body: _Body) -> Callable[[UUID], None]:
        match body.get("disposition-status"):
            case "completed":
                return self._queue.complete
            case "abandoned":
                return self._queue.abandon
            case "defered" | "deferred":
                return self._queue.defer
            case "suspended":
                reason, description = body.get("deadletter-reason"), body.get("deadletter-description")
                return lambda token: self._queue.dead_letter(token, reason, description)
            case other:
                raise AmqpError(ARGUMENT, f"disposition-status {other!r} is not supported.")


def _deferred(taken: Lock | Message) -> _Body:
    if isinstance(taken, Lock):
        return {"message": render(taken.message, taken.token), "lock-token": taken.token}
    return {"message": render(taken)}


def _number(body: _Body, key: str) -> int:
    value = body.get(key)
    if not isinstance(value, int):
        raise AmqpError(ARGUMENT, f"{key} must be a number, not {value!r}.")
    return int(value)


def _list(body: _Body, key: str) -> list[Any]:
    match body.get(key):
        case Array(values):
            return list(values)
        case list(values):
            return values
        case other:
            raise AmqpError(ARGUMENT, f"{key} must be a list, not {other!r}.")


def _numbers(body: _Body, key: str) -> list[int]:
    values = _list(body, key)
    if not all(isinstance(each, int) for each in values):
        raise AmqpError(ARGUMENT, f"{key} must be a list of numbers.")
    return [int(each) for each in values]


def _tokens(body: _Body) -> list[UUID]:
    values = _list(body, "lock-tokens")
    if not all(isinstance(each, UUID) for each in values):
        raise AmqpError(ARGUMENT, "lock-tokens must be a list of UUIDs.")
    return values


def _entry(each: Any) -> bytes:
    match each:
        case {"message": bytes(data)}:
            return data
    raise AmqpError(ARGUMENT, "each of the messages needs its bytes as message.")
