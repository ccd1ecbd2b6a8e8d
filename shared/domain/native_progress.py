"""How far an operation on a natively licensed group is: the stage, the calls, and the readings after them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.domain.directory import AssignedLicense
from shared.domain.ids import ServicePlanId, SkuId

READ_BACK_FOR = timedelta(seconds=30)
"""How long after a call a read without its change is no proof that it was lost: reads of a group can show an earlier
state (deploymenttheory/terraform-provider-microsoft365, license_assignment/crud.go)."""

MOST_CALLS = 5
"""Calls for one stage before a person has to see why the group does not stay as it was changed."""

AGREE_AFTER = timedelta(seconds=30)
"""The time between the two reads that must agree before a product is removed."""

PROCESS_FOR = timedelta(hours=24)
"""How long Microsoft's licensing may take for all members ("more than 24 hours": open a support request,
learn.microsoft.com/entra/identity/users/licensing-group-advanced)."""


class NativeStage(StrEnum):
    CHECK = "checkMembers"
    """Read all members, and decide what may be called."""
    ADD = "addProducts"
    """Add the new products, and wait until the members have them."""
    APPLY = "applyChange"
    """Make the group as requested, and wait until Microsoft's licensing has processed the members."""
    UNDO = "undoAddition"
    """Take back the new products, because members lost a product through them."""


@dataclass(frozen=True, slots=True)
class NativeProgress:
    """`before`: the group's products before the first call. `since`: when the stage began. `called_at`: of the newest
    call in it. `rejected`: Graph's text for it. `seen`: the group was read with the change of the stage. `added`: the
    operation came through ADD. `verified_at`: the first of two reads that allow a removal. `checked_at`: when the
    members were read last to decide about the first call."""

    stage: NativeStage = NativeStage.CHECK
    before: tuple[AssignedLicense, ...] = ()
    since: datetime | None = None
    calls: int = 0
    called_at: datetime | None = None
    rejected: str = ""
    seen: bool = False
    added: bool = False
    verified_at: datetime | None = None
    checked_at: datetime | None = None

    def at(self, stage: NativeStage, now: datetime) -> NativeProgress:
        """The beginning of another stage."""
        added = self.added or self.stage is NativeStage.ADD
        return NativeProgress(stage, self.before, now, added=added, checked_at=self.checked_at)

    def called(self, now: datetime, rejected: str = "") -> NativeProgress:
        """After a call that may have changed the group."""
        return replace(self, calls=self.calls + 1, called_at=now, rejected=rejected, seen=False, verified_at=None)

    def may_lag(self, now: datetime) -> bool:
        """Whether a read can still show the group from before the newest call."""
        return self.called_at is not None and now - self.called_at < READ_BACK_FOR

    def to_json(self) -> dict[str, Any]:
        """As it is stored. Times are ISO 8601."""
        times = {"since": self.since, "calledAt": self.called_at, "verifiedAt": self.verified_at}
        return {
            "stage": str(self.stage),
            "before": [[each.sku_id, sorted(each.disabled_plans)] for each in self.before],
            "calls": self.calls,
            "rejected": self.rejected,
            "seen": self.seen,
            "added": self.added,
            **{key: at.isoformat() for key, at in {**times, "checkedAt": self.checked_at}.items() if at},
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> NativeProgress:
        """Raises KeyError, ValueError for what `to_json` has not written."""
        since, called, verified, checked = (
            datetime.fromisoformat(row[key]) if key in row else None
            for key in ("since", "calledAt", "verifiedAt", "checkedAt")
        )
        before = tuple(
            AssignedLicense(SkuId(sku_id), frozenset(map(ServicePlanId, off))) for sku_id, off in row["before"]
        )
        return cls(
            NativeStage(row["stage"]),
            before,
            since,
            row["calls"],
            called,
            row["rejected"],
            row["seen"],
            row["added"],
            verified,
            checked,
        )
