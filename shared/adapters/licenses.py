"""Writing to users through Graph: license assignments and usage locations, up to 20 users in one $batch.

Each user's answer says whether the write was done, was not done, or may have been done. All of these writes change
nothing the second time, except that a removal of a license that is gone is rejected: see `graph_write_results`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.adapters.graph import GraphClient, Json
from shared.adapters.graph_batch import Item, segment
from shared.adapters.graph_write_results import BatchWriter
from shared.domain.ids import UserId
from shared.domain.write_results import LicenseCall, WriteResult


class GraphLicenseWriter:
    """Writes as the app."""

    def __init__(self, graph: GraphClient) -> None:
        self._writer = BatchWriter(graph)

    async def assign(self, calls: Mapping[UserId, LicenseCall], *, urgent: bool) -> Mapping[UserId, WriteResult]:
        """One assignLicense per user (learn.microsoft.com/graph/api/user-assignlicense)."""
        return await self._write(
            list(calls),
            [
                Item("POST", f"/users/{segment(user_id)}/assignLicense", license_body(call), priority_header(urgent))
                for user_id, call in calls.items()
            ],
            urgent,
        )

    async def set_usage_locations(
        self, locations: Mapping[UserId, str], *, urgent: bool
    ) -> Mapping[UserId, WriteResult]:
        """`usageLocation` of each user, an ISO 3166 two-letter code (learn.microsoft.com/graph/api/user-update)."""
        return await self._write(
            list(locations),
            [
                Item("PATCH", f"/users/{segment(user_id)}", {"usageLocation": location}, priority_header(urgent))
                for user_id, location in locations.items()
            ],
            urgent,
        )

    async def _write(
        self, user_ids: Sequence[UserId], items: Sequence[Item], urgent: bool
    ) -> Mapping[UserId, WriteResult]:
        if not items:
            return {}
        priority = priority_header(urgent)["x-ms-throttle-priority"]
        results = await self._writer.write(items, priority=priority)
        return {user_id: each.result for user_id, each in zip(user_ids, results, strict=True)}


def priority_header(urgent: bool) -> dict[str, str]:
    """Not Low for bulk work: it is rejected below the limit, at a share that Microsoft does not publish."""
    return {"x-ms-throttle-priority": "High" if urgent else "Normal"}


def license_body(call: LicenseCall) -> Json:
    """The body of assignLicense, for a user or a group: both lists are required
    (learn.microsoft.com/graph/api/user-assignlicense, .../group-assignlicense)."""
    return {
        "addLicenses": [
            {"skuId": license_.sku_id, "disabledPlans": sorted(license_.disabled_plans)} for license_ in call.add
        ],
        "removeLicenses": list(call.remove),
    }
