"""Request and response over a pair of links with one address, and `$cbs`, which takes tokens unseen.

The response goes over the link by which the same session receives from the address the request was sent to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from local.servicebus.amqp.codec import decode, encode, sections
from local.servicebus.amqp.links import Link
from local.servicebus.amqp.types import AmqpError, DecodeError, Described, Int, ULong
from local.servicebus.message import APPLICATION, PROPERTIES, VALUE

RESPONSE_TAG = bytes(4)


@dataclass(frozen=True, slots=True)
class Request:
    """`message_id` keeps its AMQP type, since the response must carry it as the same."""

    message_id: Any
    operation: str
    body: Any


@dataclass(frozen=True, slots=True)
class Response:
    """`fields` are application properties."""

    fields: dict[str, Any]
    body: Any = None


class RequestNode:
    """A node that answers each message it gets."""

    def attached(self, link: Link) -> None:
        """Nothing is kept for each link."""

    def detached(self, link: Link) -> None:
        """Nothing is kept for each link."""

    def credited(self, link: Link) -> None:
        """Responses that wait for credit are kept by the link."""

    def settled(self, link: Link, tag: bytes, state: Described | None) -> Described | None:
        return state

    def received(self, link: Link, data: bytes, message_format: int) -> None:
        reply = link.session.reply_link(link.address)
        if reply is None:
            raise AmqpError("amqp:precondition-failed", f"No link of this session receives from {link.address}.")
        request = _read(data)
        response = self.answer(request)
        reply.send_when_credited(_write(request.message_id, response), RESPONSE_TAG)

    def answer(self, request: Request) -> Response:
        raise NotImplementedError


def _read(data: bytes) -> Request:
    found: dict[int, Any] = {}
    for code, start, _ in sections(data):
        described, _ = decode(data, start)
        found[code] = described.value
    match found.get(PROPERTIES), found.get(APPLICATION):
        case [message_id, *_], dict(fields):
            return Request(message_id, str(fields.get("operation", "")), found.get(VALUE))
    raise DecodeError("a request needs a message id and application properties")


def _write(message_id: Any, response: Response) -> bytes:
    properties = [None, None, None, None, None, message_id]
    parts = ((PROPERTIES, properties), (APPLICATION, response.fields), (VALUE, response.body))
    return b"".join(encode(Described(ULong(code), value)) for code, value in parts)


class CbsNode(RequestNode):
    """Claims-based security: every token is good, since this emulator checks no access."""

    def answer(self, request: Request) -> Response:
        return Response({"status-code": Int(200), "status-description": "OK"})
