"""The request-response nodes: `$cbs` takes tokens unseen, `$management` serves the other acts of a queue."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from local.servicebus.amqp.codec import Array, Described, Int, Long, Symbol, Timestamp, ULong, decode, encode, sections
from local.servicebus.amqp.connection import Link
from local.servicebus.message import APPLICATION, PROPERTIES, VALUE, parse, render
from local.servicebus.nodes import Broker
from local.servicebus.queue import Lock, Queue, QueueError

ARGUMENT = "com.microsoft:argument-error"
STATUS = {"com.microsoft:message-lock-lost": 410, "com.microsoft:message-not-found": 404, ARGUMENT: 400}


class _Answering:
    """Answers requests over the receiving link of the same session and address."""

    def __init__(self) -> None:
        self._links: weakref.WeakSet[Link] = weakref.WeakSet()
        self._waiting: list[tuple[Link, bytes]] = []

    def attached(self, link: Link) -> None:
        if link.sends:
            self._links.add(link)

    def detached(self, link: Link) -> None:
        self._links.discard(link)
        self._waiting = [each for each in self._waiting if each[0].connection is not link.connection]

    def credit(self, link: Link) -> None:
        for request in [each for each in self._waiting if each[0].connection is link.connection]:
            self._waiting.remove(request)
            link.send(request[1], b"\x00" * 4, settled=True)

    def settled(self, link: Link, tag: bytes, state: Described | None) -> Described | None:
        return state

    def message(self, link: Link, data: bytes, message_format: int) -> None:
        answer = self.answer(link, *_request(data))
        for each in self._links:
            if each.connection is link.connection and each.channel == link.channel and each.credit > 0:
                each.send(answer, b"\x00" * 4, settled=True)
                return
        self._waiting.append((link, answer))

    def answer(self, link: Link, message_id: Any, fields: dict[Any, Any], body: Any) -> bytes:
        raise NotImplementedError


def _request(data: bytes) -> tuple[Any, dict[Any, Any], Any]:
    message_id, fields, body = None, {}, None
    for code, start, end in sections(data):
        value = decode(data[start:end])[0].value
        if code == PROPERTIES:
            message_id = value[0] if value else None
        elif code == APPLICATION:
            fields = value
        elif code == VALUE:
            body = value
    return message_id, fields, body


def _response(message_id: Any, fields: dict[Any, Any], body: Any) -> bytes:
    properties = [None, None, None, None, None, message_id]
    parts = ((PROPERTIES, properties), (APPLICATION, fields), (VALUE, body))
    return b"".join(encode(Described(ULong(code), value)) for code, value in parts)


class CbsNode(_Answering):
    """Accepts every token: this emulator checks no access."""

    def answer(self, link: Link, message_id: Any, fields: dict[Any, Any], body: Any) -> bytes:
        return _response(message_id, {"status-code": Int(200), "status-description": "OK"}, None)


class ManagementNode(_Answering):
    """The management operations of one queue."""

    def __init__(self, broker: Broker, queue: Queue) -> None:
        super().__init__()
        self._broker = broker
        self._queue = queue
        self._acts: dict[str, Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]] = {
            "renew-lock": self._renew,
            "schedule-message": self._schedule,
            "cancel-scheduled-message": self._cancel,
            "peek-message": self._peek,
            "receive-by-sequence-number": self._receive_deferred,
            "update-disposition": self._update,
        }

    def answer(self, link: Link, message_id: Any, fields: dict[Any, Any], body: Any) -> bytes:
        name = str(fields.get("operation", "")).removeprefix("com.microsoft:")
        act = self._acts.get(name)
        try:
            if act is None:
                raise QueueError(ARGUMENT, f"the operation {name!r} is not supported")
            status, result = act({str(key): value for key, value in (body or {}).items()})
            done = {"statusCode": Int(status), "statusDescription": "OK"}
            return _response(message_id, done, result)
        except (QueueError, KeyError, TypeError, ValueError) as fault:
            condition = fault.condition if isinstance(fault, QueueError) else ARGUMENT
            failed = {
                "statusCode": Int(STATUS.get(condition, 400)),
                "statusDescription": str(fault),
                "errorCondition": Symbol(condition),
            }
            return _response(message_id, failed, {})
        finally:
            self._broker.pump_all()

    def _renew(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        ends = [self._queue.renew(token) for token in _many(body["lock-tokens"])]
        return 200, {"expirations": Array(tuple(Timestamp(int(end * 1000)) for end in ends))}

    def _schedule(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        numbers = [self._queue.schedule(parse(bytes(each["message"]))) for each in body["messages"]]
        return 200, {"sequence-numbers": Array(tuple(Long(number) for number in numbers))}

    def _cancel(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        for number in _many(body["sequence-numbers"]):
            self._queue.cancel(int(number))
        return 200, {}

    def _peek(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        found = self._queue.peek(int(body["from-sequence-number"]), int(body["message-count"]))
        if not found:
            return 204, {}
        shown = [{"message": render(message, None, lock.until if lock else None)} for message, lock in found]
        return 200, {"messages": shown}

    def _receive_deferred(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        lock = int(body["receiver-settle-mode"]) == 1
        taken = self._queue.take_deferred([int(number) for number in _many(body["sequence-numbers"])], lock=lock)
        return 200, {"messages": [_deferred(each) for each in taken]}

    def _update(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status = str(body["disposition-status"])
        for token in _many(body["lock-tokens"]):
            self._dispose(token, status, body)
        return 200, {}

    def _dispose(self, token: UUID, status: str, body: dict[str, Any]) -> None:
        if status == "completed":
            self._queue.complete(token)
        elif status == "abandoned":
            self._queue.abandon(token)
        elif status == "defered":
            self._queue.defer(token)
        elif status == "suspended":
            self._queue.dead_letter(token, body.get("deadletter-reason"), body.get("deadletter-description"))
        else:
            raise QueueError(ARGUMENT, f"the disposition {status!r} is not supported")


def _deferred(taken: Any) -> dict[str, Any]:
    if isinstance(taken, Lock):
        return {"message": render(taken.message, taken.token, taken.until), "lock-token": taken.token}
    return {"message": render(taken, None, None)}


def _many(value: Any) -> Iterable[Any]:
    return value.values if isinstance(value, Array) else value
