"""Carries out exactly a plan, or rejects it as stale before anything is sent. A crash is resumed by the same command.

Each group is started with an idempotency key made of the plan's checksum and the group. A second run finds what the
first one started by the correlation ID, and follows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seatkeeper import fields as f
from seatkeeper import operations, routes
from seatkeeper.ascode.changes import Change
from seatkeeper.ascode.planning import Planner
from seatkeeper.ascode.profiles import Profiles, Sent
from seatkeeper.errors import CHANGES, ERROR, OK, WAITS, ApiError, Rejected
from seatkeeper.session import Session

STALE_HINT = "Nothing was sent. Plan again, and read what changed."
RESUMED_HINT = "An earlier run has started some groups; the others were not sent. Plan again."


@dataclass
class Applied:
    """The end of one group. `note`: the reason, if it was not carried out."""

    group_id: str
    name: str
    operation: Mapping[str, Any] | None = None
    note: str = ""

    @property
    def code(self) -> int:
        return ERROR if self.operation is None else operations.exit_code(self.operation)

    def shown(self) -> dict[str, Any]:
        found = self.operation
        return {
            "groupId": self.group_id,
            "displayName": self.name,
            "operationId": found[f.ID] if found else None,
            "state": found[f.STATE] if found else "NotStarted",
            "totals": found[f.TOTALS] if found else None,
            "note": self.note or None,
        }


class Applier:
    def __init__(self, session: Session, document: Mapping[str, Any]) -> None:
        self._session = session
        self._client = session.client
        self._document = document
        self._planner = Planner(session, document["allowed"])
        self.mark = f"plan-{document['checksum'][:32]}"
        self._changes = [_change(row) for row in document["groups"]]
        self._profiles = Profiles(session.client, document["profiles"])
        self._started: dict[str, Mapping[str, Any]] = {}

    def check(self) -> dict[str, Mapping[str, Any]]:
        """The previews of all groups that were not started yet; each must be as planned. Raises Rejected."""
        if self._planner.tenant() != self._document["tenantId"]:
            raise Rejected("The plan is rejected.", ["It was made for another tenant."], "Nothing was sent.")
        self._started = self._of_earlier_run()
        rest = [each for each in self._changes if each.group_id not in self._started]
        previews = self._planner.previews(rest)
        reasons = self._profiles.stale()
        for row in self._document["groups"]:
            preview = previews.get(row["groupId"])
            if preview is not None and (reason := self._stale(row, preview)):
                reasons.append(f"{row['displayName']}: {reason}")
        if reasons:
            raise Rejected("The plan is stale.", reasons, STALE_HINT if not self._started else RESUMED_HINT)
        return previews

    def _stale(self, row: Mapping[str, Any], preview: Mapping[str, Any]) -> str:
        """Why a fresh preview is not the planned one; empty if it is.

        After a crash, groups of the same plan are carried out already. A person who is in several groups can have
        gained a license from these, so the rest can only assign less than planned.
        """
        if preview[f.STATE] != f.COMPLETE:
            return str((preview.get(f.ERROR) or {}).get(f.MESSAGE) or preview[f.STATE])
        if preview[f.TOTALS][f.MEMBERS] != row["members"]:
            return f"it had {row['members']:,} members and has {preview[f.TOTALS][f.MEMBERS]:,}."
        if preview[f.CHECKSUM] == row["checksum"]:
            return ""
        if self._started and not self._exceeds(row, preview):
            return ""
        return "other people or licenses would be affected than were planned."

    def _exceeds(self, row: Mapping[str, Any], preview: Mapping[str, Any]) -> bool:
        """Whether a preview assigns more than was planned, or takes something from other people. A group that stops
        being managed does neither, whatever its preview shows of late work."""
        if row["change"].get(f.KEEP):
            return False
        gained = self._planner.gained(preview)
        planned = {each[f.ID] for each in row["losing"]}
        losing = {each[f.ID] for each in self._planner.losing(preview)}
        return losing - planned != set() or any(count > row["assign"].get(name, 0) for name, count in gained.items())

    def apply(self, previews: Mapping[str, Mapping[str, Any]]) -> list[Applied | Sent]:
        """Start every group in the order of the plan, and send the profiles. Then follow the groups to their ends.

        A group stops being managed after the others have ended: what they remove is planned with its claim.
        """
        found: list[Applied] = []
        stopped = ""
        for change in self._changes:
            result = Applied(change.group_id, change.name)
            found.append(result)
            if stopped:
                result.note = f"Not started, because {stopped} was rejected."
                continue
            if change.keep:
                self._follow(found)
            result.operation = self._started.get(change.group_id)
            if result.operation is None:
                try:
                    result.operation = self._start(change, previews[change.group_id])
                except ApiError as fault:
                    result.note, stopped = fault.message, change.name
        profiles = self._profiles.send(stopped)
        self._follow(found)
        return [*found, *profiles]

    def _follow(self, results: list[Applied]) -> None:
        for result in results:
            if result.operation is not None:
                result.operation = operations.follow(self._session, result.operation, quiet=True)

    def _start(self, change: Change, preview: Mapping[str, Any]) -> Mapping[str, Any]:
        headers = {
            "if-match": operations.etag(change.version),
            "idempotency-key": f"{self.mark}-{change.group_id}",
            "client-request-id": self.mark,
        }
        return operations.start(self._session, routes.ASSIGN_GROUP, (change.group_id,), change.body, preview, headers)

    def _of_earlier_run(self) -> dict[str, Mapping[str, Any]]:
        """Operations that an earlier run of this plan started, by group."""
        found: dict[str, Mapping[str, Any]] = {}
        for each in self._client.all(routes.OPERATIONS):
            if each[f.CORRELATION] == self.mark and not each[f.PREVIEW] and f.GROUP_ID in each[f.TARGET]:
                found.setdefault(each[f.TARGET][f.GROUP_ID], each)
        return found


def _change(row: Mapping[str, Any]) -> Change:
    body = row["change"]
    return Change(
        row["groupId"],
        row["displayName"],
        row["version"],
        tuple(body[f.ADD]),
        tuple(body[f.REMOVE]),
        body.get(f.OPTIONS, {}),
        body.get(f.KEEP, False),
        tuple(row["assigned"]),
    )


def exit_code(results: Sequence[Applied | Sent]) -> int:
    """The worst end of all groups and profiles: an error, then an approval that is missing."""
    codes = {each.code for each in results}
    return next((code for code in (ERROR, WAITS, CHANGES) if code in codes), OK)
