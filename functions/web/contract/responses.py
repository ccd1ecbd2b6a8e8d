"""Which shape answers which route, by operation; a route that is missing here fails the tests."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from functions.web.contract.shapes import audit, groups, health, onboarding, operations, products, users

ANSWERS: Mapping[tuple[str, str], Mapping[int, type[BaseModel] | None]] = {
    ("GET", "/api/operations"): {200: operations.OperationPage},
    ("GET", "/api/operations/{operation_id}"): {200: operations.Operation},
    ("GET", "/api/operations/{operation_id}/members"): {200: operations.PlannedMemberPage},
    ("GET", "/api/operations/{operation_id}/predictedErrors"): {200: operations.PredictedErrorPage},
    ("POST", "/api/operations/{operation_id}/review"): {200: operations.Operation},
    ("POST", "/api/operations/{operation_id}/approve"): {200: operations.Operation},
    ("POST", "/api/operations/{operation_id}/reject"): {200: operations.Operation},
    ("POST", "/api/operations/{operation_id}/pause"): {200: operations.Operation},
    ("POST", "/api/operations/{operation_id}/resume"): {200: operations.Operation},
    ("POST", "/api/operations/{operation_id}/cancel"): {200: operations.Operation, 202: operations.Operation},
    ("GET", "/api/approvals"): {200: operations.Approvals},
    ("POST", "/api/groups/{group_id}/assignLicense"): {202: operations.Operation},
    ("POST", "/api/groups/{group_id}/reprocessLicenseAssignment"): {202: operations.Operation},
    ("POST", "/api/groups/{group_id}/adoptLicenses"): {202: operations.Operation},
    ("POST", "/api/groups/{group_id}/enableServicePlans"): {202: operations.Operation},
    ("GET", "/api/groups/{group_id}/licenseAssignment"): {200: groups.Assignment},
    ("PATCH", "/api/groups/{group_id}/licenseAssignment"): {200: groups.Assignment},
    ("GET", "/api/groups/{group_id}/status"): {200: groups.GroupStatus},
    ("GET", "/api/groups/{group_id}/members"): {200: groups.MemberPage},
    ("GET", "/api/groups/{group_id}/membersWithLicenseErrors"): {200: groups.MemberPage},
    ("POST", "/api/users/assignLicense"): {202: operations.Operation},
    ("POST", "/api/users/{user_id}/reprocessLicenseAssignment"): {202: operations.Operation},
    ("POST", "/api/users/{user_id}/adoptLicenses"): {202: operations.Operation},
    ("POST", "/api/users/{user_id}/enableServicePlans"): {202: operations.Operation},
    ("POST", "/api/users/{user_id}/keepLicenses"): {204: None},
    ("POST", "/api/users/{user_id}/removeLicensesNow"): {202: None},
    ("GET", "/api/users/{user_id}/export"): {200: users.PersonExport},
    ("POST", "/api/users/{user_id}/erase"): {200: users.Erasure},
    ("GET", "/api/users/{user_id}/licenses"): {200: users.UserLicenses},
    ("GET", "/api/subscribedSkus"): {200: products.SubscribedSkus},
    ("GET", "/api/changeFeed"): {200: health.ChangeFeed},
    ("GET", "/api/licenses"): {200: products.Products},
    ("GET", "/api/groups"): {200: groups.Groups},
    ("POST", "/api/groups/search"): {200: groups.FoundGroups},
    ("POST", "/api/groups/{group_id}/members/search"): {200: groups.FoundMembers},
    ("POST", "/api/groups/{group_id}/membersWithLicenseErrors/search"): {200: groups.FoundMembers},
    ("POST", "/api/users/search"): {200: users.FoundUsers},
    ("GET", "/api/users/{user_id}"): {200: users.User},
    ("GET", "/api/audit"): {200: audit.AuditPage},
    ("POST", "/api/audit/search"): {200: audit.FoundEntries},
    ("GET", "/api/audit/verify"): {200: audit.AuditProof},
    ("GET", "/api/audit/{entry_id}/message"): {200: audit.ReplayedMessage},
    ("GET", "/api/overview"): {200: health.Health},
    ("GET", "/api/writing"): {200: health.Writing},
    ("POST", "/api/writing/turnOn"): {200: health.Writing},
    ("POST", "/api/writing/turnOff"): {200: health.Writing},
    ("GET", "/api/deadLetters"): {200: health.DeadLetterPage},
    ("POST", "/api/deadLetters/search"): {200: health.FoundDeadLetters},
    ("GET", "/api/deadLetters/bulk"): {200: health.BulkActs},
    ("POST", "/api/deadLetters/bulk"): {202: health.BulkAct},
    ("GET", "/api/deadLetters/bulk/{bulk_id}"): {200: health.BulkAct},
    ("DELETE", "/api/deadLetters/{letter_id}"): {204: None},
    ("POST", "/api/deadLetters/{letter_id}/replay"): {202: None},
    ("POST", "/api/onboarding"): {202: onboarding.Taken},
    ("GET", "/api/onboarding"): {200: onboarding.OnboardingPage},
    ("GET", "/api/onboarding/schema"): {200: onboarding.Schema},
    ("POST", "/api/onboarding/dryRun"): {200: onboarding.Trial},
    ("GET", "/api/onboarding/held"): {200: onboarding.HeldLeavers},
    ("POST", "/api/onboarding/held/approve"): {200: onboarding.Counted},
    ("POST", "/api/onboarding/held/reject"): {200: onboarding.Counted},
    ("GET", "/api/onboarding/profiles"): {200: onboarding.Profiles},
    ("GET", "/api/onboarding/profiles/{profile_name}"): {200: onboarding.Profile},
    ("PUT", "/api/onboarding/profiles/{profile_name}"): {200: onboarding.Profile, 202: onboarding.Proposal},
    ("GET", "/api/onboarding/proposals"): {200: onboarding.Proposals},
    ("POST", "/api/onboarding/proposals/{profile_name}/approve"): {200: onboarding.Profile, 204: None},
    ("POST", "/api/onboarding/proposals/{profile_name}/reject"): {204: None},
    ("DELETE", "/api/onboarding/profiles/{profile_name}"): {202: onboarding.Proposal, 204: None},
    ("GET", "/api/onboarding/{event_key}"): {200: onboarding.OnboardingRecord},
    ("POST", "/api/onboarding/{event_key}/cancel"): {200: onboarding.OnboardingRecord},
    ("POST", "/api/onboarding/{event_key}/replay"): {202: onboarding.OnboardingRecord},
    ("GET", "/api/onboarding/announced"): {200: onboarding.AnnouncedLeavers},
    ("POST", "/api/onboarding/announced/approve"): {200: onboarding.Counted},
    ("POST", "/api/onboarding/{event_key}/decide"): {202: onboarding.OnboardingRecord},
}

REFUSALS: Mapping[int, str] = {
    400: "A field or parameter is wrong; `target` names it, the message says the limit.",
    401: "The platform has not signed the caller in.",
    403: "The caller lacks the role, or the app a permission.",
    404: "There is no such thing.",
    409: "The state does not allow it, or another caller was quicker.",
    412: "If-Match names another version.",
    413: "The body is too large.",
    429: "The caller has reached a limit; Retry-After says when to try again.",
    500: "A fault of our own; it was recorded under the request-id.",
    503: "Graph, the tables or the queue are away; Retry-After says when to try again.",
}
"""What every route may answer instead, in the one shape of an error."""

LINKS: Mapping[type[BaseModel], Mapping[str, tuple[str, str]]] = {
    operations.Operation: {
        "operation": ("get_operation", "operation_id"),
        "members": ("list_planned_members", "operation_id"),
        "cancel": ("cancel", "operation_id"),
    },
    onboarding.OnboardingRecord: {"event": ("get_onboarding", "event_key")},
}
"""From the `id` of an answer to where it leads: name -> (operationId, parameter)."""
