"""The Graph adapters on a simulated tenant of a few users and nested groups, and faults made behind their backs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from local.tenant.http.server import SimulatedTenant
from shared.adapters.directory import GraphDirectory
from shared.adapters.graph import GraphClient
from shared.adapters.licenses import GraphLicenseWriter
from shared.adapters.native_licensing import GraphNativeLicensing
from shared.domain.ids import GroupId, SkuId, UserId
from shared.ports.directory import Directory
from shared.ports.graph_writes import LicenseWriter
from shared.ports.native_licensing import NativeLicensing

E3, E5, F3, UNKNOWN = (
    SkuId(each)
    for each in (
        "05e9a617-0261-4cee-bb44-138d3ef5d965",
        "06ebc4ee-1bb5-47dd-8120-11324bc54e06",
        "66b55226-6b4f-492c-910c-a3b7a3c9d993",
        "11111111-1111-4111-8111-111111111111",
    )
)


def guid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


ANNA, BEN, CARA, GUEST, NOWHERE, NATIVE, DEVICE, NOBODY = (UserId(guid(number)) for number in range(1, 9))
ALL, INNER, INNERMOST, NATIVE_GROUP, NO_GROUP = (GroupId(guid(0x100 + number)) for number in range(5))
SEATS = {E3: 100, E5: 1, F3: 100}

OBJECTS: dict[str, Any] = {
    "skus": [{"skuId": sku_id, "enabled": seats} for sku_id, seats in SEATS.items()],
    "devices": [{"id": DEVICE}],
    "users": [
        {"id": ANNA},
        {"id": BEN, "licenses": [{"skuId": E3}]},
        {"id": CARA},
        {"id": GUEST, "userType": "Guest", "accountEnabled": False},
        {"id": NOWHERE, "usageLocation": None},
        {"id": NATIVE},
    ],
    "groups": [
        {"id": INNERMOST, "members": [CARA, GUEST]},
        {"id": INNER, "members": [BEN, INNERMOST, DEVICE]},
        {"id": ALL, "members": [ANNA, BEN, INNER]},
        {"id": NATIVE_GROUP, "members": [NATIVE], "assignedLicenses": [{"skuId": F3}]},
    ],
}


class TenantStage:
    """The adapters on the simulated tenant."""

    def __init__(self, tenant: SimulatedTenant, graph: GraphClient) -> None:
        self.tenant = tenant
        self.graph = graph
        read = GraphDirectory(graph)
        self.directory: Directory = read
        self.native: NativeLicensing = GraphNativeLicensing(graph, read)
        self.writer: LicenseWriter = GraphLicenseWriter(graph)

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, f"{self.tenant.url}/_tenant/{path}", json=body) as response,
        ):
            assert response.status == 200, await response.text()
            return await response.json()

    async def fault(self, method: str, path: str, action: Mapping[str, Any], times: int = 1) -> None:
        rule = {"match": {"method": method, "path": path}, "times": times, "action": dict(action)}
        await self.control("POST", "faults", [rule])

    async def delete_user(self, user_id: UserId) -> None:
        await self.control("DELETE", f"users/{user_id}")

    async def join(self, group_id: GroupId, member_id: str) -> None:
        await self.control("POST", "membership", {"add": [[group_id, member_id]]})

    async def throttle(self, user_id: UserId, seconds: float) -> None:
        action = {"status": 429, "code": "TooManyRequests", "message": "later", "retryAfter": seconds}
        await self.fault("POST", f"/users/{user_id}/assignLicense", action)

    async def lose(self, user_id: UserId, *, done: bool) -> None:
        action = {"timeoutAfter" if done else "timeoutBefore": True}
        await self.fault("POST", f"/users/{user_id}/assignLicense", action)

    async def go_away(self) -> None:
        await self.fault("GET", ".", {"status": 503, "retryAfter": 60}, times=100)
        await self.fault("POST", r"^/\$batch", {"status": 503, "retryAfter": 60}, times=100)
