"""JSON batching: up to 20 requests in one, each with an answer of its own (learn.microsoft.com/graph/json-batching).

Answers come in any order and are matched by id. A missing answer is distinguished from every kind of answer. The SDK's
own batch classes lose the bodies of the answers, so the envelope is written and read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from shared.adapters.graph import Json, NoAnswer, Reply, error_of, seconds

BATCH_LIMIT = 20
"""Requests in one $batch."""

PATH = "/$batch"


@dataclass(frozen=True, slots=True)
class Item:
    """One request of a batch; `url` is relative to the base URL."""

    method: str
    url: str
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ItemReply:
    """The answer to one request of a batch; header names in lower case. `date`: of the batch's answer."""

    status: int
    headers: Mapping[str, Any]
    body: Any
    date: str | None = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def retry_after_s(self) -> float | None:
        return seconds(self.headers.get("retry-after"), self.date)

    @property
    def error(self) -> tuple[str, str]:
        """Innermost code and whole message."""
        return error_of(self.body)

    def __str__(self) -> str:
        code, message = self.error
        return ": ".join(part for part in (f"Graph answered {self.status}", code, message) if part)


def segment(text: str) -> str:
    """An id as one segment of a path."""
    return quote(text, safe="")


def literal(text: str) -> str:
    """A text as OData writes it in an address: quotes repeated, everything else escaped."""
    doubled = text.replace("'", "''")
    return quote(f"'{doubled}'", safe="")


def envelope(items: Sequence[Item]) -> Json:
    """The body of a $batch: ids are positions, and all items run in parallel. Raises ValueError above the limit."""
    if len(items) > BATCH_LIMIT:
        raise ValueError(f"{len(items)} requests in one batch, at most {BATCH_LIMIT}")
    return {"requests": [_item(number, item) for number, item in enumerate(items)]}


def answers(reply: Reply, count: int) -> tuple[ItemReply | None, ...]:
    """The items' answers in the order of the requests, None where one is missing or given twice.

    Raises NoAnswer when the envelope cannot be read.
    """
    responses = reply.json().get("responses")
    if not isinstance(responses, list):
        raise NoAnswer(reply.retry_after_s, f"Graph answered {reply.status} to a batch without responses")
    found: dict[str, ItemReply | None] = {}
    for raw in responses:
        if isinstance(raw, dict) and isinstance(raw.get("status"), int):
            key = str(raw.get("id"))
            found[key] = None if key in found else _reply(raw, reply.headers.get("date"))
    return tuple(found.get(str(number)) for number in range(count))


def _item(number: int, item: Item) -> Json:
    raw: Json = {"id": str(number), "method": item.method, "url": item.url}
    headers = dict(item.headers)
    if item.body is not None:
        headers["Content-Type"] = "application/json"
        raw["body"] = item.body
    if headers:
        raw["headers"] = headers
    return raw


def _reply(raw: Json, date: str | None) -> ItemReply:
    headers = raw.get("headers")
    lowered = {str(name).lower(): value for name, value in headers.items()} if isinstance(headers, dict) else {}
    return ItemReply(raw["status"], lowered, raw.get("body"), date)
