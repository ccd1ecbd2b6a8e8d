"""A lease on the licenses of one group: only its holder calls `assignLicense` for the group.

Calls for one group at the same time silently lose products (deploymenttheory/terraform-provider-microsoft365,
internal/services/.../license_assignment/crud.go), so only the holder of the lease calls.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

LONG_AGO = datetime.min.replace(tzinfo=UTC)

LEASE = timedelta(minutes=5)
"""How long a holder that died keeps others from calling: longer than a call with its wait for the write quota."""


@dataclass(frozen=True, slots=True)
class GroupLease:
    """`holder`: any text, such as the ID of an operation; empty if it is free."""

    holder: str = ""
    until: datetime = LONG_AGO

    @classmethod
    def from_text(cls, text: str) -> GroupLease:
        """The lease as stored; a free one for an empty text. Raises ValueError, KeyError for any other text."""
        if not text:
            return cls()
        row = json.loads(text)
        return cls(str(row["holder"]), datetime.fromisoformat(row["until"]))

    def to_text(self) -> str:
        """As it is stored."""
        return json.dumps({"holder": self.holder, "until": self.until.isoformat()})

    def taken_by(self, holder: str, now: datetime) -> GroupLease | None:
        """The lease of this holder from now on; None while another holder has it."""
        if self.holder not in ("", holder) and now < self.until:
            return None
        return GroupLease(holder, now + LEASE)
