"""The names of fields and values in the API's answers and requests. After a rename of the API, only this changes."""

from __future__ import annotations

VALUE = "value"
ID = "id"
DISPLAY_NAME = "displayName"
UPN = "userPrincipalName"
MAIL = "mail"
EMPLOYEE_ID = "employeeId"
SEARCH = "search"

# Products
SKU_ID = "skuId"
PART_NUMBER = "skuPartNumber"
SERVICE_PLANS = "servicePlans"
PLAN_ID = "servicePlanId"
PLAN_NAME = "servicePlanName"
APPLIES_TO = "appliesTo"
TOTAL = "total"
ASSIGNED = "assigned"
AVAILABLE = "available"
EXPIRED = "expired"
DISABLED_PLANS = "disabledPlans"

# Groups
GROUP_ID = "groupId"
GROUPS = "groups"
STATUS = "status"
MEMBERS = "members"
COUNTS = "counts"
USABLE = "usable"
REASON_NOT_USABLE = "unusableReason"
MANAGED = "managed"
NATIVE_LICENSES = "nativeLicenses"
ASSIGNED_SKUS = "assignedSkuIds"
ENGINE = "engine"
DIRECT = "direct"
ASSIGNED_LICENSES = "assignedLicenses"
OPTIONS = "options"
ETAG = "@odata.etag"
VERSION = "version"
OPERATION_ID = "operationId"
OPEN_APPROVAL = "openApproval"

# Members
STATE = "state"
PROBLEMS = "problems"
ERROR = "error"
MESSAGE = "message"
DIAGNOSIS = "diagnosis"
REMEDY = "remedy"
WAITING_SINCE = "waitingSinceDateTime"
UPDATED = "lastUpdatedDateTime"
REMOVAL_AT = "removalDateTime"
NEXT_AT = "nextAttemptDateTime"
SOURCE = "source"

# Operations
KIND = "kind"
TARGET = "target"
ADD = "addLicenses"
REMOVE = "removeLicenses"
KEEP = "keepLicenses"
MANAGE = "manageLicenses"
ENABLE = "turnOnApps"
PREVIEW = "preview"
PHASE = "phase"
COLLECTING = "collecting"
REASON = "reason"
INTENT_VERSION = "assignmentVersion"
CREATED = "createdDateTime"
COMPLETED = "completedDateTime"
ESTIMATED = "estimatedCompletionDateTime"
INITIATED_BY = "initiatedBy"
CORRELATION = "correlationId"
TOTALS = "totals"
PLAN = "plan"
CHECKSUM = "checksum"
APPROVED_PREVIEW = "approvedPreview"
USAGE_LOCATIONS = "usageLocations"
ADDITIONS = "additions"
REMOVALS = "removals"
PLANS_OFF = "plansOff"
SEATS_NEEDED = "licensesNeeded"
SEATS_AVAILABLE = "licensesAvailable"
EXPECTED_ERRORS = "errors"
WARNINGS = "warnings"
UNMANAGED = "unmanaged"
LOSING = "usersLosing"
KEEPING = "usersKeeping"
FAILING = "usersFailing"
WAITING = "usersWaiting"
PROTECTED = "protectedPeople"

OPERATION_IDS = "operationIds"
USER_IDS = "userIds"
ONLY_LOSING = "losing"

COMPLETE, AWAITING, PAUSED, CANCELLED, FAILED = (
    "ProcessingComplete",
    "AwaitingApproval",
    "Paused",
    "Cancelled",
    "Failed",
)
ENDED = frozenset({COMPLETE, CANCELLED, FAILED})
COUNT_ERROR = "CountViolation"

# Options of a group, by the API's names
USAGE_LOCATION = "usageLocation"
GUESTS = "includeGuests"
DISABLED_ACCOUNTS = "includeDisabledAccounts"
EXCLUDED = "excludedGroups"
GRACE = "grace"
ALLOWANCE = "removalAllowance"
ALLOWANCE_REASON = "removalAllowanceReason"

# Profiles
MATCH = "match"
LICENSES = "licenses"
PRIORITY = "priority"
EXCLUSIVE = "exclusive"
SELECTABLE = "selectable"
PROPOSED_BY = "proposedBy"

# The app
TENANT = "tenantId"
