"""Labels for people: what the admin center calls things, instead of the codes that programs read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from shared.domain.directory import LicenseError
from shared.domain.grant import SourceKind
from shared.domain.ids import is_guid
from shared.domain.initiator import Initiator, InitiatorKind
from shared.domain.member_status import MemberState
from shared.domain.native_progress import NativeStage
from shared.domain.onboarding import HrEventType, PersonRef
from shared.domain.operation import OperationKind, OperationState
from shared.domain.outcomes import OutcomeClass
from shared.domain.plan import WAITS
from shared.domain.plan_draft import current_code
from shared.domain.predicted_errors import Certainty, PredictedError
from shared.handlers.views.queries import LicenseOrigin

STATE_WORDS: Mapping[str, str] = {
    OperationState.QUEUED: "Waiting to start",
    OperationState.IN_PROGRESS: "In progress",
    OperationState.AWAITING_APPROVAL: "Waits for approval",
    OperationState.PAUSED: "Paused",
    OperationState.COMPLETE: "Completed",
    OperationState.CANCELLED: "Cancelled",
    OperationState.FAILED: "Failed",
}

MEMBER_WORDS: Mapping[str, str] = {
    MemberState.ACTIVE: "Active",
    MemberState.ACTIVE_WITH_ERROR: "Active with error",
    MemberState.ERROR: "Error",
    MemberState.WAITING: "Waiting for a seat",
    MemberState.PENDING: "Pending",
    MemberState.DISABLED: "Disabled",
    MemberState.REMOVED: "Removed",
    MemberState.UNREACHABLE: "Only in a nested group",
}

MOVE_WORDS: Mapping[str, str] = {
    "preview": "Preview",
    "inProgress": "In progress",
    "awaitingApproval": "Waiting for approval",
    "paused": "Paused",
    "undoing": "Being undone",
    "done": "Done",
    "undone": "Undone",
    "failed": "Failed",
}

VERDICT_WORDS: Mapping[str, str] = {
    "ready": "Lose nothing",
    "waits": "Wait for the other source",
    "blocked": "Cannot be moved",
    "nothingActive": "Nothing Active",
    "nestedOnly": "Only in nested groups",
}

ERROR_WORDS: Mapping[str, str] = {
    LicenseError.COUNT_VIOLATION: "Not enough licenses",
    LicenseError.MUTUALLY_EXCLUSIVE: "Conflicting service plans",
    LicenseError.DEPENDENCY: "Other products depend on this license",
    LicenseError.PROHIBITED_IN_USAGE_LOCATION: "Usage location isn't allowed",
    LicenseError.UNIQUENESS: "Duplicate proxy addresses",
    LicenseError.OTHER: "Other",
    LicenseError.NOT_FOUND: "Not found",
    LicenseError.PERMISSION: "The app lacks a permission",
    LicenseError.INVALID_LICENSE: "Not a valid license",
    LicenseError.CONCURRENCY: "Changed by others meanwhile",
    LicenseError.UNAVAILABLE: "Graph was not available",
}
"""The headings of learn.microsoft.com/entra/identity/users/licensing-groups-resolve-problems, and ours."""

CERTAINTY_WORDS: Mapping[str, str] = {
    Certainty.EXPECTED: "Expected",
    Certainty.LIKELY: "Likely",
}
"""How sure the prediction of an error is."""

KIND_WORDS: Mapping[str, str] = {
    OperationKind.ASSIGN: "Assign licenses",
    OperationKind.REMOVE: "Remove licenses",
    OperationKind.CHANGE: "Change licenses",
    OperationKind.REPROCESS: "Reprocess",
    OperationKind.ADOPT: "Manage licenses here",
    OperationKind.ENABLE: "Turn on missing apps",
    OperationKind.STOP_MANAGING: "Stop managing the group",
}

EXPECTED_WORDS: Mapping[str, str] = {
    OutcomeClass.APPLIED: "Will be changed",
    OutcomeClass.UNCHANGED: "Nothing to do",
    OutcomeClass.WAITING: "Would wait for a seat",
    OutcomeClass.FAILED: "Would meet an error",
    OutcomeClass.SKIPPED: "Would be left out",
    OutcomeClass.RETRY: "Will be read again",
}

OUTCOME_WORDS: Mapping[str, str] = {
    OutcomeClass.APPLIED: "Changed",
    OutcomeClass.UNCHANGED: "Nothing to do",
    OutcomeClass.WAITING: "Waits for a seat",
    OutcomeClass.FAILED: "Error",
    OutcomeClass.SKIPPED: "Left out",
    OutcomeClass.RETRY: "Tried again soon",
}

CAUSE_WORDS: Mapping[str, str] = {
    "request": "a request",
    "job": "a request from the queue",
    "notification": "a change notification",
    "delta": "the delta query",
    "nested": "a change of nested groups",
    "sync": "a full read of the group",
    "sweep": "the nightly search for licenses without a group",
    "held": "an approval of held removals",
    "restore": "a cancelled operation",
    "move": "a move between native and direct licensing",
    "due": "the end of a grace period",
    "seats": "an available license",
    "decision": "a decision on the user's page",
    "hr": "an HR event",
}
"""What made the app read users: causes of operations and of single changes."""

ENDING_WORDS: Mapping[str, str] = {
    SourceKind.HELD: "The removal waits for an approval",
    SourceKind.KEPT: "An administrator decided to keep it",
    SourceKind.GRACE: "Kept for the grace period",
}
"""Why a user still has a license that nothing assigns any more."""

HR_EVENT_WORDS: Mapping[str, str] = {
    HrEventType.JOINER: "Joiner",
    HrEventType.MOVER: "Mover",
    HrEventType.LEAVER: "Leaver",
    HrEventType.RESCISSION: "Leaver rescinded",
    HrEventType.RELEASE: "Leaver released",
}

NOTE_WORDS: Mapping[str, str] = {
    "unmanaged": "assigned outside this app",
    "unmanagedLacksApps": "assigned outside this app, without some plans",
    "appsTurnedOnManually": "plans were turned on by hand",
    "appsTurnedOffManually": "plans were turned off by hand",
    "secondRead": "the removal waits and is decided with the other removals of the group",
    "pendingApproval": "assigned when the removal that it replaces is approved",
    "assignedAfterRemoval": "assigned together with the removal that it replaces, which still waits",
    "keptByDecision": "an administrator decided to keep it",
    "held": "the removal waits for an approval",
    "protectedPerson": "protected person: the license is removed only after an approval",
    "protectedPeopleNotRead": "the removal waits until the list of protected people has been read",
    "keptUntilReplaced": "kept until replaced",
    "inGrace": "in grace",
    "dependsOnNativeLicensing": "depends on native licensing",
    "notVisibleYet": "the last write does not show yet",
    "changedByOthers": "changed outside this app: removed only after an approval",
    "left": "left the group",
    "nestedOnly": "only in a group inside this one, which Microsoft's licensing does not reach",
    "notProcessedYet": "Microsoft's licensing has not processed this member yet, which can take a day",
    "doNotLicense": "not to be licensed: HR says that the employment has ended",
}

_WORDS: Mapping[str, str] = {
    **STATE_WORDS,
    **MEMBER_WORDS,
    "NeedsDecision": "Needs a decision",
    "WaitingForAccount": "Waits for the account",
    "WaitingForEarlierEvent": "Waits for an earlier event",
    "WaitingForRelease": "Waits for release",
    "DoneWithErrors": "Done with errors",
    "WaitingForLicense": "Waits for a license",
    "AlreadyMember": "Already a member",
    "NotAMember": "Not a member",
    "success": "Success",
    "failure": "Failure",
    "paused": "Paused",
    "cancelled": "Cancelled",
}

_GOOD = ("All licenses assigned", "Active", "ProcessingComplete", "success", "Done", "Assigned", "Added", "applied")
_BAD = ("Errors and issues", "Error", "ActiveWithError", "Failed", "failure", "DoneWithErrors", "Rejected", "failed")
_WARN = (
    "AwaitingApproval",
    "NeedsDecision",
    "Paused",
    "Waiting",
    "Held",
    "Kept",
    "WaitingForLicense",
    "waiting",
    "paused",
    "Suspended",
)
_INFO = ("In progress", "ProcessingInProgress", "Working", "Pending")
_TONES: Mapping[str, str] = {
    **dict.fromkeys(_GOOD, "good"),
    **dict.fromkeys(_BAD, "bad"),
    **dict.fromkeys(_WARN, "warn"),
    **dict.fromkeys(_INFO, "info"),
}


def word(code: object) -> str:
    """The word for a state or result; the code itself where there is none."""
    return _WORDS.get(str(code), str(code))


def tone(code: object) -> str:
    """Which colour a state or result has."""
    return _TONES.get(str(code), "plain")


def who(initiator: Initiator) -> str:
    """The name of who did something. An application has only its client ID, and a person whose name was erased only the
    object ID."""
    name = initiator.display_name
    if not is_guid(name):
        return name
    return f"{'User' if initiator.kind is InitiatorKind.USER and name == initiator.id else 'Service'} {name[:8]}"


def span(length: timedelta) -> str:
    """A length of time, roughly: `about 4 min`."""
    seconds = max(0, round(length.total_seconds()))
    if seconds < 60:
        return "less than a minute"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    if seconds < 129_600:
        return f"about {round(seconds / 3600)} h"
    return f"about {round(seconds / 86_400)} days"


def left(end: datetime | None, now: datetime) -> str:
    """How long an operation will still take; empty if unknown."""
    return f"{span(end - now)} left" if end is not None else ""


def person(named: PersonRef) -> str:
    """How an HR event names a person, the surest name first."""
    shown = (("object ID", named.id), ("employee ID", named.employee_id), ("", named.user_principal_name))
    return ", ".join(f"{kind} {value}".strip() for kind, value in shown if value)


def found_by(detail: str) -> str:
    """The detail of an audit entry, with the word for a cause."""
    found, _, cause = detail.partition("Found by ")
    return detail if found or cause not in CAUSE_WORDS else f"Found by {CAUSE_WORDS[cause]}"


def changes(before: str, after: str, name: Mapping[str, str]) -> list[str]:
    """`before` and `after` of an audit entry in words: licenses by product with the plans that are off, options by
    name. Text of another form is returned as it is."""
    try:
        old, new = _object(before), _object(after)
    except ValueError:
        return [f"{before or 'nothing'} to {after}" if after else f"was {word(before)}"] if before or after else []
    found = [_change(each, old.get(each), new.get(each), name) for each in sorted(old.keys() | new.keys())]
    return [each for each in found if each]


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text) if text else {}
    if not isinstance(value, dict):
        raise ValueError(text)
    return value


def _change(key: str, old: object, new: object, name: Mapping[str, str]) -> str:
    if old == new:
        return ""
    if not is_guid(key):
        return f"{key}: {_shown(old)} to {_shown(new)}"
    product = name.get(key, key)
    if new is None:
        return f"{product} removed"
    if old is None:
        return f"{product} added, {_off(new)}" if new else f"{product} added"
    return f"{product}: {_off(old)} to {_off(new)}"


def _off(plans: object) -> str:
    number = len(plans) if isinstance(plans, list) else 0
    return f"{number} plan{'s' * (number != 1)} off" if number else "all on"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    words = {None: "none", True: "yes", False: "no"}
    return words[value] if value is None or isinstance(value, bool) else str(value) or "none"


def predicted(found: Iterable[PredictedError], name: Mapping[str, str]) -> list[str]:
    """Predicted errors of a plan, in words."""
    return [
        ": ".join(part for part in (name.get(sku_id, sku_id), ERROR_WORDS.get(each.problem.error, "")) if part)
        for each in found
        for sku_id in [each.problem.sku_id or ""]
    ]


def notes(found: Iterable[str], name: Mapping[str, str]) -> list[str]:
    """Notes of a plan, each a code and a product, in words."""
    shown = []
    for each in found:
        stored, *ids = each.split(" ")
        code = current_code(stored)
        text = ERROR_WORDS.get(code) or NOTE_WORDS.get(code)
        sku_id = ids[0] if text and ids else ""
        shown.append(f"{name.get(sku_id, sku_id)}: {text}" if sku_id else text or each)
    return shown


def member_notes(found: Iterable[str], name: Mapping[str, str]) -> list[str]:
    """The notes of a member. Why a removal waits is said once, for its product."""
    shown = notes(found, name)
    return [each for each in shown if each != WAITS] or shown


ORIGIN_WORDS: Mapping[str, str] = {
    LicenseOrigin.MANAGED: "Assigned by this app",
    LicenseOrigin.DIRECT: "Assigned directly, outside this app",
    LicenseOrigin.NATIVE_GROUP: "Native group-based licensing",
}

DONE_WORDS: Mapping[str, str] = {
    "optionsSaved": "The options are saved.",
    "licenseKept": "The license stays.",
    "licenseRemoved": "The license is being removed. The state of the user shows the result within a minute.",
    "messageReplayed": "The message is back in its queue.",
    "messageDeleted": "The message is deleted.",
    "bulkStarted": "The act on all matching messages has started. The list below shows how far it is.",
    "writingOn": "Writing to Microsoft Graph is turned on.",
    "firstContact": "The run has started. It shows its progress here within a minute.",
    "writingOff": "Writing to Microsoft Graph is turned off.",
    "announcedApproved": "The announced leavers are approved.",
    "heldApproved": "The held leavers are approved. Their licenses are being removed.",
    "heldRejected": "The events of the held leavers are cancelled. The users keep their licenses.",
    "profileApproved": "The version of the profile is approved.",
    "profileRejected": "The version of the profile is rejected.",
    "eventCancelled": "The HR event is cancelled.",
    "eventReplayed": "The HR event begins again.",
    "eventCarriedOut": "The HR event is carried out.",
    "eventDismissed": "The HR event is dismissed.",
    "removalsApproved": "The removals are approved.",
    "removalsRejected": "The removals are rejected. The users keep their licenses.",
    "reviewStarted": "The list of users is being made.",
    "operationPaused": "The operation pauses.",
    "operationResumed": "The operation goes on.",
    "operationCancelled": "The operation is cancelled. Completed changes stay.",
}
"""Confirmations after a form was sent, by the code in the address of the page."""

NATIVE_STAGE_WORDS: Mapping[str, str] = {
    NativeStage.CHECK: "All members are read before the group is changed.",
    NativeStage.ADD: "The new products are added. Microsoft's licensing processes the members.",
    NativeStage.APPLY: "The group is changed. Microsoft's licensing processes the members.",
    NativeStage.UNDO: "The addition is taken back, because members lost products through it.",
}

DEAD_LETTER_WORDS: Mapping[str, str] = {
    "unreadable": "Unreadable or wrong",
    "givenUp": "Given up after many tries",
    "tooLarge": "Too large to send again",
}
