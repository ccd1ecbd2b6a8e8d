"""The columns of each table. Wide ones appear on wide terminals, and always in CSV and TSV."""

from __future__ import annotations

from seatkeeper import fields as f
from seatkeeper.names import Names, Row, is_guid
from seatkeeper.output import Column

IN_FILES = 1000
"""Columns that only CSV and TSV have."""

WIDE = 110
"""Columns of a terminal from which on more is shown."""


def groups(names: Names) -> list[Column]:
    return [
        Column("Group", f.DISPLAY_NAME),
        Column("Engine", f.ENGINE),
        Column("Status", f.STATUS),
        Column("Members", f.MEMBERS, right=True),
        Column("Active", lambda row: row[f.COUNTS].get("Active", 0), right=True),
        Column("Waiting", lambda row: row[f.COUNTS].get("Waiting", 0), right=True),
        Column("Errors", lambda row: _errors(row[f.COUNTS]), right=True),
        Column("Products", lambda row: [names.product_label(each) for each in row[f.ASSIGNED_SKUS]]),
        Column("ID", f.ID, wide=WIDE, keep=True),
    ]


def _errors(counts: Row) -> int:
    return int(counts.get("Error", 0)) + int(counts.get("ActiveWithError", 0))


FOUND_GROUPS = [
    Column("Group", f.DISPLAY_NAME),
    Column("ID", f.ID, keep=True),
    Column("Managed", f.MANAGED),
    Column("Usable", f.USABLE),
    Column("Reason", f.REASON_NOT_USABLE),
    Column("Native products", lambda row: len(row[f.NATIVE_LICENSES]), wide=WIDE, right=True),
]


def assigned_products(names: Names) -> list[Column]:
    return [
        Column("Product", lambda row: row.get(f.PART_NUMBER) or row[f.SKU_ID]),
        Column("Assigned", "assigned", right=True),
        Column("Waiting", "waiting", right=True),
        Column("Errors", "errors", right=True),
        Column("Apps off", lambda row: [names.app_label(row[f.SKU_ID], each) for each in row[f.DISABLED_PLANS]]),
        Column("Enforcement", "enforcement", wide=WIDE),
    ]


def members(names: Names) -> list[Column]:
    return [
        Column("User", f.UPN),
        Column("Name", f.DISPLAY_NAME, wide=WIDE),
        Column("State", f.STATE),
        Column("Products", lambda row: [names.product_label(each) for each in row[f.ASSIGNED_SKUS]]),
        Column("Problem", lambda row: [each[f.ERROR] for each in row[f.PROBLEMS]]),
        Column("Removal", f.REMOVAL_AT),
        Column("Next attempt", f.NEXT_AT, wide=WIDE),
        Column("Updated", f.UPDATED, wide=WIDE),
        Column("ID", f.ID, wide=160, keep=True),
    ]


def errors(names: Names) -> list[Column]:
    return [
        Column("User", f.UPN),
        Column("Name", f.DISPLAY_NAME, wide=WIDE),
        Column("Error", f.ERROR),
        Column("Product", lambda row: row.get(f.PART_NUMBER) or names.product_label(row.get(f.SKU_ID))),
        Column("Message", f.MESSAGE, wide=WIDE),
        Column("Remedy", f.REMEDY),
        Column("Since", f.WAITING_SINCE, wide=160),
        Column("ID", f.ID, wide=160, keep=True),
    ]


PREDICTED = [
    Column("User", lambda row: row[f.UPN] or row[f.ID]),
    Column("Error", f.ERROR),
    Column("Product", lambda row: row[f.PART_NUMBER] or row[f.SKU_ID]),
    Column("Certainty", "certainty"),
    Column("Cause", lambda row: [each[f.PART_NUMBER] or each[f.SKU_ID] for each in row["causedBySkus"]], wide=WIDE),
    Column("Remedy", f.REMEDY, wide=WIDE),
]

PRODUCTS = [
    Column("Product", f.DISPLAY_NAME),
    Column("Part number", f.PART_NUMBER),
    Column("Total", f.TOTAL, right=True),
    Column("Assigned", f.ASSIGNED, right=True),
    Column("Available", f.AVAILABLE, right=True),
    Column("Expired", f.EXPIRED, right=True, wide=WIDE),
    Column("Status", "capabilityStatus", wide=WIDE),
    Column("Groups", lambda row: [each[f.DISPLAY_NAME] for each in row[f.GROUPS]], wide=WIDE),
    Column("ID", f.SKU_ID, wide=160, keep=True),
]

APPS = [
    Column("App", f.PLAN_NAME),
    Column("Applies to", f.APPLIES_TO),
    Column("Status", "provisioningStatus"),
    Column("ID", f.PLAN_ID, wide=WIDE, keep=True),
]

USERS = [
    Column("User", f.UPN),
    Column("Name", f.DISPLAY_NAME),
    Column("Enabled", "accountEnabled"),
    Column("Department", "department", wide=WIDE),
    Column("Employee ID", f.EMPLOYEE_ID, wide=WIDE),
    Column("ID", f.ID, wide=WIDE, keep=True),
]


PRODUCT_USERS = USERS[:3] + USERS[-1:]


def user_licenses(names: Names) -> list[Column]:
    return [
        Column("Product", lambda row: row[f.PART_NUMBER] or row[f.SKU_ID]),
        Column("State", f.STATE),
        Column("Source", lambda row: SOURCES.get(row[f.SOURCE], row[f.SOURCE])),
        Column(
            "Through", lambda row: [names.group_label(each["id"] or "") or each["kind"] for each in row["grantedBy"]]
        ),
        Column("Apps off", lambda row: [names.app_label(row[f.SKU_ID], each) for each in row[f.DISABLED_PLANS]]),
        Column("Error", f.ERROR),
        Column("Removal", f.REMOVAL_AT),
    ]


SOURCES = {"managed": "managed", "direct": "unmanaged", "nativeGroup": "native group"}


def user_groups(names: Names) -> list[Column]:
    return [
        Column("Group", lambda row: names.group_label(row[f.GROUP_ID])),
        Column("State", f.STATE),
        Column("Problem", lambda row: [each[f.ERROR] for each in row[f.PROBLEMS]]),
        Column("Remedy", lambda row: [each[f.REMEDY] for each in row[f.PROBLEMS]]),
        Column("Next attempt", f.NEXT_AT, wide=WIDE),
    ]


SHORT = 8
"""Digits of an ID that stand for it where the whole one has no room; CSV, JSON and wide terminals have all of it."""


def _by(row: Row) -> str:
    """The name of a person or of the app; of another application, which has no name, the begin of its ID."""
    name = str(row[f.INITIATED_BY][f.DISPLAY_NAME])
    return f"application {name[:SHORT]}" if is_guid(name) else name


def _about(row: Row) -> str:
    user_id, group_id = row.get("userId"), row.get(f.GROUP_ID)
    return f"user {user_id[:SHORT]}" if user_id else f"group {group_id[:SHORT]}" if group_id else ""


ENTRIES = [
    Column("Time", "activityDateTime"),
    Column("Activity", "activityDisplayName"),
    Column("Target", _about),
    Column("By", _by),
    Column("Result", "result"),
    Column("Detail", "detail", wide=WIDE),
    Column("User", "userId", wide=200, keep=True),
    Column("Group", f.GROUP_ID, wide=200, keep=True),
    Column("Before", "before", wide=IN_FILES),
    Column("After", "after", wide=IN_FILES),
    Column("By ID", lambda row: row[f.INITIATED_BY].get(f.ID), wide=IN_FILES, keep=True),
    Column("ID", f.ID, wide=IN_FILES, keep=True),
]

DEAD_LETTER_COLUMNS = [
    Column("ID", f.ID, keep=True),
    Column("Queue", "queue"),
    Column("Created", f.CREATED),
    Column("Reason", f.REASON),
    Column("Kind", f.KIND, wide=WIDE),
    Column("Body", "body", wide=200),
]

BULK_ACTS = [
    Column("ID", f.ID, keep=True),
    Column("Act", "action"),
    Column("State", f.STATE),
    Column("Done", "done", right=True),
    Column("Left", "notReplayable", right=True),
    Column("Created", f.CREATED, wide=WIDE),
]

FIRST_CONTACT_RUNS = [
    Column("ID", f.ID, keep=True),
    Column("Level", "level"),
    Column("State", f.STATE),
    Column("Requests", "requests", right=True),
    Column("Writes", "writes", right=True),
    Column("Changes", lambda row: len(row["changes"]), right=True),
    Column("Created", f.CREATED, wide=WIDE),
]

FINDINGS = [
    Column("No.", "number", right=True),
    Column("Assumption", "question"),
    Column("Assumed", lambda row: " or ".join(row["assumed"]), wide=WIDE),
    Column("Verdict", "verdict"),
    Column("Observed", "position"),
]

EVENTS = [
    Column("ID", f.ID, keep=True),
    Column("Type", lambda row: row["eventType"].removeprefix("hr.").removesuffix(".v1")),
    Column("Person", lambda row: row["person"][f.UPN] or row["person"][f.EMPLOYEE_ID] or row["person"][f.ID]),
    Column("Effective", lambda row: row["effectiveDateTime"][:10]),
    Column("State", f.STATE),
    Column("Note", "note", wide=WIDE),
    Column("Remedy", f.REMEDY, wide=WIDE),
    Column("Source", "eventSource", wide=160),
    Column("Event ID", "eventId", wide=160),
]

PROFILES = [
    Column("Profile", "name"),
    Column("Name", f.DISPLAY_NAME),
    Column("Match", lambda row: [f"{name} is {' or '.join(values)}" for name, values in row["match"].items()]),
    Column("Groups", lambda row: len(row[f.GROUPS]), right=True),
    Column("Products", lambda row: len(row["licenses"]), right=True),
    Column("Selectable", "selectable", wide=WIDE),
]

PROPOSALS = [
    Column("Profile", "name"),
    Column("Version", "version"),
    Column("Proposed by", lambda row: row["proposedBy"][f.DISPLAY_NAME]),
    Column("Deletes", "deletes"),
    Column("Changes", lambda row: [each["field"] for each in row["changes"]]),
    Column("Expires", "expiresDateTime", wide=WIDE),
]

HOURS = [
    Column("Hour", "hour"),
    Column("State", f.STATE),
    Column("Entries", "entries", right=True),
    Column("Missing", "missingCount", right=True),
    Column("Changed", "changedCount", right=True),
    Column("Added", "addedCount", right=True),
]

QUEUES = [
    Column("Queue", "queue"),
    Column("Waiting", "waiting", right=True),
    Column("Scheduled", "scheduled", right=True),
    Column("Oldest", "oldestDateTime"),
]


def operations(names: Names) -> list[Column]:
    def target(row: Row) -> str:
        where = row[f.TARGET]
        return names.group_label(where[f.GROUP_ID]) if f.GROUP_ID in where else f"{where['userIds']:,} users"

    return [
        Column("ID", f.ID, keep=True),
        Column("Kind", lambda row: row[f.KIND] + (" (preview)" if row[f.PREVIEW] else "")),
        Column("Target", target),
        Column("State", f.STATE),
        Column("Users", lambda row: row[f.TOTALS][f.MEMBERS], right=True, wide=WIDE),
        Column("Failed", lambda row: row[f.TOTALS]["failed"], right=True, wide=WIDE),
        Column("By", lambda row: row[f.INITIATED_BY][f.DISPLAY_NAME], wide=WIDE),
        Column("Created", f.CREATED, wide=WIDE),
    ]


def planned(names: Names) -> list[Column]:
    return [
        Column("User", lambda row: row.get(f.UPN) or row[f.ID], keep=True),
        Column("Add", lambda row: [names.product_label(each[f.SKU_ID]) for each in row[f.ADD]]),
        Column("Remove", lambda row: [names.product_label(each) for each in row[f.REMOVE]]),
        Column("Apps off", lambda row: [names.product_label(each[f.SKU_ID]) for each in row[f.PLANS_OFF]]),
        Column("Expected", "expectedOutcome"),
        Column("Outcome", "outcome"),
        Column("Errors", lambda row: [each[f.ERROR] for each in row["expectedErrors"]]),
    ]


def approvals(names: Names) -> list[Column]:
    return [
        Column("ID", f.ID, keep=True),
        *operations(names)[2:3],
        Column("Losing", lambda row: row[f.PLAN][f.LOSING], right=True),
        Column("Requested by", lambda row: row[f.INITIATED_BY][f.DISPLAY_NAME]),
        Column("Needed", lambda row: row["approval"]["approvalsNeeded"], right=True, wide=WIDE),
        Column("Expires", lambda row: row["approval"]["expiresDateTime"], wide=WIDE),
        Column("Reason", f.REASON, wide=WIDE),
    ]
