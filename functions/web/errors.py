"""Errors in one shape, Graph's: `{"error": {"code", "message", "target"?, "details"?, "innerError"}}`
(learn.microsoft.com/graph/errors). Which exception becomes which status is decided here and nowhere else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from shared.domain.errors import (
    ApprovalDenied,
    BadRequest,
    Conflict,
    KeyReused,
    LimitReached,
    NotFound,
    PermissionDenied,
    StateConflict,
    Unavailable,
)

NAME_FAULTS = frozenset({"UnknownName", "AmbiguousName"})
"""Codes of faults that only a read of the directory shows."""

Detail = dict[str, Any]
"""One entry of `details`: a fault with its code, target and text."""


class HttpError(Exception):
    """A request that is not answered. `target`: the field or parameter that is wrong; `details`: all that is wrong."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        target: str = "",
        headers: Mapping[str, str] | None = None,
        details: Sequence[Mapping[str, object]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.target = target
        self.headers = dict(headers or {})
        self.details = tuple(details)


class Rejection(HttpError):
    """A caller that is not let in, or lacks a right. `caller`: the object id or client id, empty if unknown; `reason`:
    a few words for the log."""

    def __init__(
        self, status: int, code: str, message: str, caller: str, reason: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, code, message, headers=headers)
        self.caller = caller
        self.reason = reason


SERVER_ERROR = HttpError(500, "InternalServerError", "The request failed. It was recorded under the request-id.")
CODES = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed", 413: "RequestTooLarge"}


def body_of(rejection: HttpError, request_id: str) -> bytes:
    """The JSON body of an error."""
    error: dict[str, object] = {"code": rejection.code, "message": rejection.message}
    if rejection.target:
        error["target"] = rejection.target
    if rejection.details:
        error["details"] = list(rejection.details)
    error["innerError"] = {"request-id": request_id, "date": datetime.now(UTC).isoformat(timespec="seconds")}
    return json.dumps({"error": error}).encode()


def answer_to(fault: Exception, *, conditional: bool = False) -> HttpError:
    """The answer to an exception. `conditional`: the request said If-Match, so a lost race is a failed precondition."""
    match fault:
        case HttpError():
            return fault
        case BadRequest(code=code, target=target, faults=faults):
            details = [fault_at(each.target, str(each), each.code) for each in faults or (fault,)]
            status = 409 if isinstance(fault, StateConflict) else 400
            return HttpError(status, code, str(fault), target, details=details)
        case NotFound():
            return HttpError(404, "NotFound", str(fault))
        case Conflict() if conditional:
            return HttpError(412, "PreconditionFailed", str(fault), "If-Match")
        case Conflict() | KeyReused():
            return HttpError(409, "Conflict", str(fault))
        case ApprovalDenied() | PermissionDenied():
            own = isinstance(fault, PermissionDenied)
            return HttpError(403, "AppPermissionMissing" if own else "AnotherApproverRequired", str(fault))
        case Unavailable():
            return _later(fault)
        case RequestValidationError():
            return _validation_failed(fault)
        case HTTPException(status_code=status, detail=detail):
            detail = "There is nothing at this address." if status == 404 else detail
            return HttpError(status, CODES.get(status, "BadRequest"), str(detail), headers=dict(fault.headers or {}))
    return SERVER_ERROR


def _later(fault: Unavailable) -> HttpError:
    headers = {"Retry-After": str(math.ceil(fault.retry_after_s or 5.0))}
    if isinstance(fault, LimitReached):
        return Rejection(429, "TooManyRequests", str(fault), fault.caller, fault.reason, headers)
    return HttpError(503, "ServiceUnavailable", str(fault), headers=headers)


def fault_at(target: str, message: str, code: str = "InvalidRequest") -> Detail:
    """One fault of a request."""
    return {"code": code, "target": target, "message": message}


def detail_of(error: Mapping[str, Any]) -> Detail:
    """A fault that pydantic found."""
    place, *path = [str(part) for part in error["loc"]]
    target = ".".join(path) if place in ("body", "query", "header", "path") else ".".join([place, *path])
    code = str(error["type"]) if error["type"] in NAME_FAULTS else "InvalidRequest"
    return fault_at(target, str(error["msg"]).removeprefix("Value error, "), code)


def invalid(faults: Iterable[Detail]) -> HttpError:
    """The answer to a request with these faults: the first one as text, all of them in `details`."""
    details = list({(each["target"], each["message"]): each for each in faults}.values())
    first, *others = details
    more = f" ({len(others)} more fault{'s' if len(others) > 1 else ''} in details)" if others else ""
    message = f"{first['target'] or 'The body'}: {first['message']}{more}"
    return HttpError(400, str(first["code"]), message, str(first["target"]), details=details)


def _validation_failed(failed: RequestValidationError) -> HttpError:
    """The answer to a request in which FastAPI found faults."""
    errors = failed.errors()
    first = errors[0]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", first["msg"])
        return HttpError(400, "InvalidJson", f"The body is not JSON: {reason}.")
    if first["type"] == "model_attributes_type" and len(first["loc"]) == 1:
        return HttpError(400, "InvalidRequest", "The body must be a JSON object, sent as application/json.")
    return invalid(map(detail_of, errors))
