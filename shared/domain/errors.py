"""The project's exceptions. SDK exceptions stop in the adapters and are chained to one of these.

LicensingError
 +- BadRequest(code, message, target)   the request cannot be carried out; `target` names the field
 |   +- AssignmentError(code, texts)    the requested licenses cannot be assigned to a group
 |   +- StateConflict(code, message)    the state of what it names does not allow the request
 +- NotFound                            it does not exist
 +- Conflict                            it was changed meanwhile
 |   +- Outdated                        the caller refers to an old state, such as a version
 +- KeyReused                           an idempotency key belongs to a different request
 +- PermissionDenied                    the app lacks a permission
 +- Unavailable(retry_after_s, what)    a dependency is away; the same work later is right
 +- NotOffered                          the directory does not offer this read in this tenant
 +- PoisonMessage                       a message that cannot be read
 +- ConfigError(faults)                 settings are wrong; all faults at once
"""

from __future__ import annotations

from collections.abc import Sequence


class LicensingError(Exception):
    """Base of all exceptions this project raises on purpose."""


class BadRequest(LicensingError):
    """The request cannot be carried out. The text gives the requester the reason. `faults`: each single fault, if
    there are several."""

    def __init__(self, code: str, message: str, target: str = "", faults: Sequence[BadRequest] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.target = target
        self.faults = tuple(faults)


class AssignmentError(BadRequest):
    """Licenses that cannot be assigned to a group as asked; every fault of the request is in the message."""

    def __init__(self, code: str, texts: Sequence[str]) -> None:
        target = "addLicenses"
        super().__init__(code, " ".join(texts), target, [BadRequest(code, text, target) for text in texts])


class StateConflict(BadRequest):
    """The request is well-formed, but the state of what it names does not allow it. Nothing is retried: only the
    requester can decide what to do instead."""


def raise_all(faults: Sequence[BadRequest]) -> None:
    """Raise BadRequest with every fault, if there are any. It has the code and the target of the first one."""
    if faults:
        first = faults[0]
        raise BadRequest(first.code, " ".join(map(str, faults)), first.target, faults)


class NotFound(LicensingError):
    """There is no such group, operation, page."""


class Conflict(LicensingError):
    """The thing was changed since it was read, or exists already. The same work on what is there now can succeed."""


class Outdated(Conflict):
    """The caller refers to a version or list that is no longer current. Only the caller can decide again."""


class KeyReused(LicensingError):
    """An idempotency key was used for a different request, which no waiting changes."""


class ApprovalDenied(LicensingError):
    """The person can approve, but not this: it was their own request or they approved it before. The message says who
    can, and when."""


class PermissionDenied(LicensingError):
    """The directory rejects the app; the message names the permission that is missing."""


class TokenExpired(LicensingError):
    """The directory has forgotten up to which point changes were read, so everything must be read again."""


class Unavailable(LicensingError):
    """A dependency could not be reached or did not answer completely. `rejected`: it answered with a definite error,
    which waiting may not change."""

    def __init__(self, retry_after_s: float | None, what: str, *, rejected: bool = False) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s
        self.rejected = rejected


class LimitReached(Unavailable):
    """A caller has asked for more than a caller can. `reason`: a few words for the log."""

    def __init__(self, retry_after_s: float, what: str, caller: str, reason: str) -> None:
        super().__init__(retry_after_s, what)
        self.caller = caller
        self.reason = reason


class NotOffered(LicensingError):
    """The directory does not offer this read in this tenant; there is another way to what it would show."""


class PoisonMessage(LicensingError):
    """A message body that is not what its queue carries."""


class ConfigError(LicensingError):
    """Settings that are missing or wrong."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)
