"""An example of every error of the API, by status and code. A test compares the codes with the source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.web.contract.shapes.common import E3, GROUP, TEAMS, USER

Json = dict[str, Any]

ERRORS: Mapping[int, Mapping[str, tuple[str, str]]] = {
    400: {
        "InvalidRequest": ("stat: is unknown. Did you mean 'state'? Allowed: $skiptoken, $top, state", "stat"),
        "InvalidJson": ("The body is not JSON: Expecting value.", ""),
        "InvalidSkipToken": ("$skiptoken is not from an earlier answer.", "$skiptoken"),
        "UnknownName": ("There is no product 'SPE_E33'. Did you mean SPE_E3?", "addLicenses.0.skuId"),
        "AmbiguousName": (f"2 groups have the name 'Sales': {GROUP}, {USER}. Use one of these IDs.", "group_id"),
        "NameInAddress": (
            "search: takes no name in an address, because addresses are logged. Send names in the body of a POST.",
            "search",
        ),
        "InvalidLicenses": (f"SKU {E3} is not a license of this tenant.", "addLicenses"),
        "SkuInBoth": (f"SKU {E3} is in addLicenses and in removeLicenses.", "removeLicenses"),
        "PreviewOnly": ("Only a preview assumes changes of other groups.", "otherChanges"),
        "GroupTwice": ("otherChanges must name each other group once.", "otherChanges"),
        "KeepsNothing": (
            "keepLicenses needs removeLicenses with every product of the group, and no addLicenses.",
            "keepLicenses",
        ),
        "SkuNotAssigned": (f"SKU {E3} is not assigned to the group.", "removeLicenses"),
        "UnknownSku": (f"The tenant has no SKU {E3}.", "skuIds"),
        "NoLicenseChanges": ("addLicenses and removeLicenses are both empty.", "addLicenses"),
        "InvalidTarget": ("Give either a group or a list of users.", "target"),
        "NativeOverlap": (
            f"Group Sales is also licensed by native group-based licensing with {E3}. Remove it there first, or "
            "set the option allowNativeOverlap.",
            "addLicenses",
        ),
        "GroupNotSecurityEnabled": (
            "Group Sales is not security-enabled; licenses can be assigned to security groups only.",
            "group",
        ),
        "GroupNotManaged": ("Group Sales has no license assignment here.", "group"),
        "HiddenMembership": (
            "Group Sales hides its membership, and no member can be seen. Grant the app the permission "
            "Member.Read.Hidden (without it, a hidden group looks like an empty one), then try again.",
            "group",
        ),
        "ReasonRequired": (
            "A removal allowance of the group's own needs a reason: set removalAllowanceReason.",
            "removalAllowanceReason",
        ),
        "LicenseNotEnding": (
            f"The license {E3} of user {USER} is not a managed license in grace, held or kept.",
            "skuIds",
        ),
        "InvalidTestObject": ("testUserId must be a GUID.", "testUserId"),
        "WritingIsOff": ("A basic run writes to Graph. Turn writing on first.", "level"),
        "NoFormerAssignment": (
            "Only an operation on a group has a former assignment. Cancel it with assignment 'keep', and request the "
            "right change.",
            "assignment",
        ),
        "NewerAssignment": (
            "Operation 0199d0f31c2a4b6d8e0f123456789abd has changed the assignment of the group since.",
            "assignment",
        ),
        "GroupNotLicensed": ("Group Sales has no licenses in Microsoft's own group-based licensing.", "group"),
        "GroupManagedDirectly": (
            "This app licenses group Sales directly, so its members are shown as they are.",
            "group",
        ),
        "InvalidWaves": ("waves must be rising percentages that end with 100, such as 10, 50, 100.", "waves"),
        "NothingToConvert": (
            "These users have no unmanaged direct license of the group's products: ada.",
            "convertDirect",
        ),
        "NotAMember": ("Pilot users must be direct members of the group; these are not: ada.", "pilot"),
        "ConvertsNothing": (
            "convertDirect is for a move to native licensing: no direct license ends in a move to this app.",
            "convertDirect",
        ),
        "TooManyConverted": ("List at most 1,000 members in convertDirect.", "convertDirect"),
        "TooManyPilotUsers": ("Name at most 20 pilot users.", "pilot"),
        "AssignmentCancelled": (
            "An operation of the group was cancelled. Reprocess the group or remove its license first.",
            "group",
        ),
        "NativePlansDiffer": (
            "The group has other licenses, or other apps, in Microsoft's own group-based licensing than this app "
            "assigns. Make both the same first.",
            "group",
        ),
        "NativeGroup": (
            "Microsoft's own group-based licensing assigns the licenses of group Sales; this app only watches it. Use "
            "diagnose and reprocessLicenseErrors for its members.",
            "group",
        ),
        "NativeOptions": (
            "Group Sales is managed natively, and Microsoft's licensing has no such options.",
            "options",
        ),
        "NothingToChange": ("Group Sales has these products already.", "addLicenses"),
        "NotManagedNatively": (f"Group {GROUP} is not managed natively.", "group"),
        "OperationOpen": (
            "Operation 0199d0f31c2a4b6d8e0f123456789abd on the group is still open. Wait until it has ended, or cancel "
            "it.",
            "group",
        ),
        "EngineChanged": ("The engine of group Sales has been changed meanwhile. Try again.", "group"),
        "ReadOnly": (
            "The app has read permissions only: it watches groups and shows previews, and it writes nothing to Graph. "
            "To let it write, run infra/scripts/grant-graph-permissions.sh without --read-only.",
            "",
        ),
        "WritingOff": ("Writing to Microsoft Graph is turned off.", ""),
        "EmploymentUnknown": (
            "The event names none of the person's employments. Send it again with data.employment, or dismiss it.",
            "",
        ),
        "ChecksumMismatch": ("The list that waits for approval has changed. Read it again.", "checksum"),
        "NotAPreview": (
            "Operation 0199d0f31c2a4b6d8e0f123456789abc is not a complete preview.",
            "operationIds",
        ),
        "NotOffered": ("Microsoft Graph does not list the users of a product in this tenant.", ""),
        "InvalidRange": ("since must be before until, and at most 31 days before it.", "since"),
        "WritingForcedOff": ("The setting WRITING is off, so writing cannot be turned on here.", "WRITING"),
        "OwnData": ("Nobody can erase their own data: another administrator must do it.", "user_id"),
        "InvalidEvent": ('data.effectiveDate must be a date such as 2026-12-01, not "tomorrow"', "data.effectiveDate"),
        "InvalidJob": ("The corrected message is not valid: target is missing", "message"),
        "MessageIncomplete": ("Only the beginning of the message was kept; its sender must send it again.", ""),
        "MessageTooLarge": ("A message of 300,000 bytes is larger than the queue accepts.", ""),
        "ContentDeleted": ("The content of the event was deleted. HR must send it again.", ""),
        "GroupNotAllowed": (f"Profile sales: ONBOARDING_GROUPS does not name the group {GROUP}.", "groups"),
        "GroupNotFound": (f"There is no group {GROUP}.", "groups"),
        "SkuNotFound": (f"The tenant has no product {E3}.", "licenses.skuId"),
        "ServicePlanNotFound": (f"Product SPE_E3 has no service plan {TEAMS}.", "licenses.disabledPlans"),
    },
    401: {
        "Unauthorized": ("The request has no token that the platform accepts.", ""),
        "SignInTooOld": (
            "Approving needs a sign-in of the last 60 minutes. Sign out, sign in, and then approve.",
            "",
        ),
    },
    403: {
        "Forbidden": ("The caller needs one of the app roles Licensing.Read, Licensing.Write.", ""),
        "CrossSiteRequest": (
            "A write in a browser session must come from this site, or say X-Requested-With.",
            "",
        ),
        "PersonRequired": (
            "An application cannot do this. A person with the role that the route needs must sign in.",
            "",
        ),
        "AnotherApproverRequired": ("You requested this operation; another person must approve it.", ""),
        "AppPermissionMissing": ("The app lacks the permission Member.Read.Hidden.", ""),
    },
    404: {"NotFound": ("There is no operation 0199d0f31c2a4b6d8e0f123456789abc.", "")},
    409: {
        "Conflict": ("It was changed meanwhile. Read it again.", ""),
        "IllegalState": (
            "Cannot pause an operation that is ProcessingComplete; it must be ProcessingInProgress.",
            "operation",
        ),
        "OperationEnded": ("The operation has ended: ProcessingComplete.", "operation"),
        "NotReviewed": ("Review the removals first: there is no list to approve yet.", "operation"),
        "NothingToDecide": ("The event is Done and needs no decision.", ""),
        "NotReplayable": ("The event is Done; only Failed, DoneWithErrors can be replayed.", ""),
    },
    412: {"PreconditionFailed": ("The license assignment is at version 4, not 3; read it again.", "If-Match")},
    413: {"RequestTooLarge": ("The body is larger than 1048576 bytes.", "")},
    429: {"TooManyRequests": ("You have made 60 changes within a minute, which is the limit.", "")},
    500: {"InternalServerError": ("The request failed. It was recorded under the request-id.", "")},
    503: {"ServiceUnavailable": ("Microsoft Graph cannot be reached.", "")},
}


def examples(status: int) -> Json:
    """The named examples of a status."""
    return {code: {"value": _error(status, code, text, target)} for code, (text, target) in ERRORS[status].items()}


def _error(status: int, code: str, text: str, target: str) -> Json:
    error: Json = {"code": code, "message": text}
    if target:
        error["target"] = target
    if status == 400 or (status == 409 and code != "Conflict"):
        error["details"] = [{"code": code, "target": target, "message": text}]
    inner = {"request-id": "6f0e2a51-7a54-4b43-9a9f-0b7a2f6f3c11", "date": "2026-11-23T08:15:30Z"}
    return {"error": {**error, "innerError": inner}}
