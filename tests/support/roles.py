"""Who may use which route, written out: a route that is missing here, or asks less than here, fails the tests."""

from __future__ import annotations

READERS = """
GET /
GET /api/approvals
GET /api/audit
GET /api/changeFeed
GET /api/healthOverview
GET /api/deadLetters
GET /api/groups
GET /api/groups/{group_id}/licenseAssignment
GET /api/groups/{group_id}/members
GET /api/groups/{group_id}/membersWithLicenseErrors
GET /api/groups/{group_id}/status
GET /api/licenses
GET /api/onboarding
GET /api/onboarding/held
GET /api/onboarding/announced
GET /api/onboarding/profiles
GET /api/onboarding/profiles/{profile_name}
POST /api/onboarding/dryRun
GET /api/openapi.json
GET /api/operations
GET /api/operations/{operation_id}
GET /api/operations/{operation_id}/members
GET /api/subscribedSkus
GET /api/users
GET /api/users/{user_id}
GET /api/users/{user_id}/licenses
GET /approvals
GET /audit
GET /audit.csv
GET /audit.jsonl
GET /groups
GET /groups/{group_id}
GET /groups/{group_id}/assign
POST /groups/{group_id}/assign/check
GET /groups/{group_id}/live
GET /groups/{group_id}/members.csv
GET /health
GET /health/queues
GET /licenses
GET /licenses/{sku_id}
GET /operations
GET /operations/{operation_id}
GET /operations/{operation_id}/progress
GET /onboarding
GET /onboarding/announced
GET /onboarding/{event_key}
GET /static/{name}
GET /users
GET /users/{user_id}
"""

WRITERS = """
POST /api/deadLetters/{letter_id}/replay
POST /health/replay/{letter_id}
POST /api/onboarding/{event_key}/decide
POST /api/onboarding/announced/approve
POST /api/onboarding/held/approve
POST /api/onboarding/held/reject
PUT /api/onboarding/profiles/{profile_name}
DELETE /api/onboarding/profiles/{profile_name}
POST /api/groups/{group_id}/adoptLicenses
POST /api/groups/{group_id}/assignLicense
POST /api/groups/{group_id}/enableServicePlans
PATCH /api/groups/{group_id}/licenseAssignment
POST /api/groups/{group_id}/reprocessLicenseAssignment
POST /api/operations/{operation_id}/approve
POST /api/operations/{operation_id}/cancel
POST /api/operations/{operation_id}/pause
POST /api/operations/{operation_id}/reject
POST /api/operations/{operation_id}/resume
POST /api/operations/{operation_id}/review
POST /api/users/assignLicense
POST /api/users/{user_id}/adoptLicenses
POST /api/users/{user_id}/enableServicePlans
POST /api/users/{user_id}/keepLicenses
POST /api/users/{user_id}/removeLicensesNow
POST /api/users/{user_id}/reprocessLicenseAssignment
POST /onboarding/announced/approve
POST /onboarding/held/{act}
POST /onboarding/{event_key}/{act}
POST /groups/{group_id}/assign
POST /groups/{group_id}/options
POST /groups/{group_id}/reprocess
POST /groups/{group_id}/{foreign}
POST /users/{user_id}/{foreign}
POST /operations/{operation_id}/confirm
POST /operations/{operation_id}/{act}
POST /users/{user_id}/keep
POST /users/{user_id}/remove
POST /users/{user_id}/reprocess
"""

HR_SYSTEMS = """
POST /api/onboarding
POST /api/onboarding/{event_key}/cancel
POST /api/onboarding/{event_key}/replay
"""

HR_SYSTEMS_AND_READERS = """
GET /api/onboarding/schema
GET /api/onboarding/{event_key}
"""
