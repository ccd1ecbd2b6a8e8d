"""The errors of the program, and its exit codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

OK, ERROR, CHANGES, WAITS = 0, 1, 2, 3
"""Exit codes: as wanted, an error, changes that are pending (or drift), waiting for an approval."""


class CliError(Exception):
    """A fault that the program explains. `hint`: the next step for the reader."""

    def __init__(self, message: str, hint: str = "", code: str = "Error") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


class UsageFault(CliError):
    """Arguments that make no sense together."""


class Rejected(CliError):
    """Files or a plan that are not carried out. `reasons`: every fault, one a line."""

    def __init__(self, message: str, reasons: Sequence[str], hint: str = "") -> None:
        super().__init__(message, hint, "Rejected")
        self.reasons = tuple(reasons)


@dataclass
class ApiError(Exception):
    """An error of the API, as the API wrote it."""

    status: int
    code: str
    message: str
    target: str = ""
    request_id: str = ""
    details: list[Mapping[str, Any]] = field(default_factory=list)

    def __str__(self) -> str:
        return self.message

    def shown(self) -> dict[str, Any]:
        """The error in the API's own shape."""
        found: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.target:
            found["target"] = self.target
        if self.details:
            found["details"] = list(self.details)
        found["innerError"] = {"request-id": self.request_id or None}
        return {"error": found}
