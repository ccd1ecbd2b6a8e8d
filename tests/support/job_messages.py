"""Messages of the jobs queue."""

from __future__ import annotations

from typing import Any

GROUP = "0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e3f"
USERS = ["1d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e", "9b1f2e3d-4c5b-4a69-8877-665544332211"]
E3 = "05e9a617-0261-4cee-bb44-138d3ef5d965"
E5 = "06ebc4ee-1bb5-47dd-8120-11324bc54e06"
PLAN = "a23b959c-7ce8-4e57-9140-b90eb88a9e97"
Job = dict[str, Any]


def assign(**changes: object) -> Job:
    """A valid assignment, with some fields changed."""
    job: Job = {"version": "1.0", "id": "j-1", "operation": "assignLicense", "groupId": GROUP}
    return {**job, "addLicenses": [{"skuId": E3, "disabledPlans": [PLAN]}], **changes}


def without(job: Job, *names: str) -> Job:
    """The message without some of its fields."""
    return {name: value for name, value in job.items() if name not in names}
