"""One call on Graph as a value, its answer, and Graph's error bodies.

A plain HTTP request and an item of a $batch both become a `Call`; from here on they are treated alike.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from local.tenant import clock

GRAPH = "https://graph.microsoft.com/v1.0"
JSON_TYPE = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"


@dataclass(slots=True)
class Call:
    """One operation asked of Graph by an application.

    `path` is without /v1.0. `body` is the parsed JSON, or None. `base` is the absolute address before the path, for
    links. `as_of` is the moment whose state reads see (None = now).
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    app_id: str
    permissions: frozenset[str]
    base: str = GRAPH
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    as_of: float | None = None
    segments: tuple[str, ...] = ()

    @property
    def eventual(self) -> bool:
        """Whether the caller accepts eventual consistency, the condition of advanced queries."""
        return self.headers.get("consistencylevel", "").lower() == "eventual"


@dataclass(slots=True)
class Reply:
    """The answer; `body` None means an empty one, bytes are already JSON, str is plain text."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class GraphError(Exception):
    """An error answer of Graph."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def error_reply(error: GraphError, call: Call) -> Reply:
    """Body of learn.microsoft.com/graph/errors with Graph's innerError."""
    return Reply(error.status, error_body(error, call.request_id, call.headers.get("client-request-id")), error.headers)


def error_body(error: GraphError, request_id: str, client_request_id: str | None = None) -> dict[str, Any]:
    """`{"error": {code, message, innerError}}`; a throttled call says more in innerError, as in the sample."""
    inner: dict[str, Any] = {"date": timestamp(clock.time())[:-1], "request-id": request_id}
    if error.status == 429:
        inner = {"code": "429", "status": "429", "message": "Please retry after", **inner}
    else:
        inner["client-request-id"] = client_request_id or request_id
    return {"error": {"code": error.code, "message": error.message, "innerError": inner}}


def bad_request(message: str, code: str = "Request_BadRequest") -> GraphError:
    """400 with the code nearly all directory errors share."""
    return GraphError(400, code, message)


def denied() -> GraphError:
    """403 for a caller that lacks the permission."""
    return GraphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def not_found(key: str) -> GraphError:
    """404 as Graph words it for a directory object that is not there."""
    return GraphError(
        404,
        "Request_ResourceNotFound",
        f"Resource '{key}' does not exist or one of its queried reference-property objects are not present.",
    )


def unsupported_query(message: str) -> GraphError:
    """400 for a query that needs other parameters or is not offered."""
    return GraphError(400, "Request_UnsupportedQuery", message)


_stamps: dict[int, str] = {}


def timestamp(epoch: float) -> str:
    """`2026-02-03T09:15:02Z`, whole seconds, as Graph shows times."""
    second = int(epoch)
    found = _stamps.get(second)
    if found is None:
        if len(_stamps) > 10_000:
            _stamps.clear()
        found = _stamps[second] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
    return found


def encode(body: Any) -> bytes:
    """A reply's body as bytes; fragments that are JSON already go in as they are."""
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    return orjson.dumps(body)
