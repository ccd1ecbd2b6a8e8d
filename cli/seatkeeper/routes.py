"""Every route of the API that the program calls; a test compares them with the API's description."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote


class Route(NamedTuple):
    method: str
    path: str

    def at(self, *ids: str) -> str:
        """The path with IDs and names in it."""
        return self.path.format(*(quote(each, safe="") for each in ids))


GROUPS = Route("GET", "/api/groups")
FIND_GROUPS = Route("POST", "/api/groups/search")
ASSIGN_GROUP = Route("POST", "/api/groups/{}/assignLicense")
REPROCESS_GROUP = Route("POST", "/api/groups/{}/reprocessLicenseAssignment")
MANAGE_GROUP = Route("POST", "/api/groups/{}/adoptLicenses")
ENABLE_GROUP = Route("POST", "/api/groups/{}/enableServicePlans")
ASSIGNMENT = Route("GET", "/api/groups/{}/licenseAssignment")
SET_OPTIONS = Route("PATCH", "/api/groups/{}/licenseAssignment")
GROUP_STATUS = Route("GET", "/api/groups/{}/status")
MEMBERS = Route("GET", "/api/groups/{}/members")
FIND_MEMBERS = Route("POST", "/api/groups/{}/members/search")
MEMBER_ERRORS = Route("GET", "/api/groups/{}/membersWithLicenseErrors")
FIND_MEMBER_ERRORS = Route("POST", "/api/groups/{}/membersWithLicenseErrors/search")
WATCH_GROUP = Route("POST", "/api/groups/{}/watch")
MANAGE_NATIVELY = Route("POST", "/api/groups/{}/manageNatively")
STOP_MANAGING_NATIVELY = Route("POST", "/api/groups/{}/stopManagingNatively")
DIAGNOSE = Route("POST", "/api/groups/{}/members/{}/diagnose")
REPROCESS_ERRORS = Route("POST", "/api/groups/{}/reprocessLicenseErrors")
MOVE = Route("POST", "/api/groups/{}/moveLicensing")
MOVE_STATE = Route("GET", "/api/groups/{}/moveLicensing")
PAUSE_MOVE = Route("POST", "/api/groups/{}/moveLicensing/pause")
RESUME_MOVE = Route("POST", "/api/groups/{}/moveLicensing/resume")
UNDO_MOVE = Route("POST", "/api/groups/{}/moveLicensing/undo")
APPROVE_MOVE = Route("POST", "/api/groups/{}/moveLicensing/approve")
MOVE_REPORT = Route("GET", "/api/groups/{}/moveLicensing/report")
ALL_ERRORS = Route("GET", "/api/membersWithLicenseErrors")

FIND_USERS = Route("POST", "/api/users/search")
USER = Route("GET", "/api/users/{}")
USER_LICENSES = Route("GET", "/api/users/{}/licenses")
ASSIGN_USERS = Route("POST", "/api/users/assignLicense")
REPROCESS_USER = Route("POST", "/api/users/{}/reprocessLicenseAssignment")
MANAGE_USER = Route("POST", "/api/users/{}/adoptLicenses")
ENABLE_USER = Route("POST", "/api/users/{}/enableServicePlans")
KEEP_LICENSES = Route("POST", "/api/users/{}/keepLicenses")
REMOVE_NOW = Route("POST", "/api/users/{}/removeLicensesNow")
EXPORT_USER = Route("GET", "/api/users/{}/export")
ERASE_USER = Route("POST", "/api/users/{}/erase")

SEARCH = Route("POST", "/api/search")

PRODUCTS = Route("GET", "/api/licenses")
PRODUCT = Route("GET", "/api/licenses/{}")
PRODUCT_USERS = Route("GET", "/api/licenses/{}/users")
SKUS = Route("GET", "/api/subscribedSkus")

OPERATIONS = Route("GET", "/api/operations")
OPERATION = Route("GET", "/api/operations/{}")
PLANNED_MEMBERS = Route("GET", "/api/operations/{}/members")
PREDICTED_ERRORS = Route("GET", "/api/operations/{}/predictedErrors")
COMBINED_PLAN = Route("POST", "/api/operations/combinedPlan")
PAUSE = Route("POST", "/api/operations/{}/pause")
RESUME = Route("POST", "/api/operations/{}/resume")
CANCEL = Route("POST", "/api/operations/{}/cancel")
APPROVALS = Route("GET", "/api/approvals")
REVIEW = Route("POST", "/api/operations/{}/review")
APPROVE = Route("POST", "/api/operations/{}/approve")
REJECT = Route("POST", "/api/operations/{}/reject")

HEALTH = Route("GET", "/api/overview")
CHANGE_FEED = Route("GET", "/api/changeFeed")
WRITING = Route("GET", "/api/writing")
WRITING_ON = Route("POST", "/api/writing/turnOn")
WRITING_OFF = Route("POST", "/api/writing/turnOff")

AUDIT = Route("GET", "/api/audit")
FIND_AUDIT = Route("POST", "/api/audit/search")
VERIFY_AUDIT = Route("GET", "/api/audit/verify")
AUDIT_MESSAGE = Route("GET", "/api/audit/{}/message")

FIRST_CONTACT_RUNS = Route("GET", "/api/firstContact")
START_FIRST_CONTACT = Route("POST", "/api/firstContact")
FIRST_CONTACT_RUN = Route("GET", "/api/firstContact/{}")
FIRST_CONTACT_RECORDING = Route("GET", "/api/firstContact/{}/recording")

DEAD_LETTER_COLUMNS = Route("GET", "/api/deadLetters")
FIND_DEAD_LETTERS = Route("POST", "/api/deadLetters/search")
REPLAY_DEAD_LETTER = Route("POST", "/api/deadLetters/{}/replay")
DELETE_DEAD_LETTER = Route("DELETE", "/api/deadLetters/{}")
BULK = Route("POST", "/api/deadLetters/bulk")
BULK_ACTS = Route("GET", "/api/deadLetters/bulk")
BULK_ACT = Route("GET", "/api/deadLetters/bulk/{}")

SEND_EVENTS = Route("POST", "/api/onboarding")
EVENT_SCHEMA = Route("GET", "/api/onboarding/schema")
EVENTS = Route("GET", "/api/onboarding")
EVENT = Route("GET", "/api/onboarding/{}")
CANCEL_EVENT = Route("POST", "/api/onboarding/{}/cancel")
REPLAY_EVENT = Route("POST", "/api/onboarding/{}/replay")
DECIDE_EVENT = Route("POST", "/api/onboarding/{}/decide")
DRY_RUN = Route("POST", "/api/onboarding/dryRun")
HELD = Route("GET", "/api/onboarding/held")
APPROVE_HELD = Route("POST", "/api/onboarding/held/approve")
REJECT_HELD = Route("POST", "/api/onboarding/held/reject")
ANNOUNCED = Route("GET", "/api/onboarding/announced")
APPROVE_ANNOUNCED = Route("POST", "/api/onboarding/announced/approve")
PROFILES = Route("GET", "/api/onboarding/profiles")
PROFILE = Route("GET", "/api/onboarding/profiles/{}")
SAVE_PROFILE = Route("PUT", "/api/onboarding/profiles/{}")
DELETE_PROFILE = Route("DELETE", "/api/onboarding/profiles/{}")
PROPOSALS = Route("GET", "/api/onboarding/proposals")
PROPOSAL = Route("GET", "/api/onboarding/proposals/{}")
APPROVE_PROPOSAL = Route("POST", "/api/onboarding/proposals/{}/approve")
REJECT_PROPOSAL = Route("POST", "/api/onboarding/proposals/{}/reject")
