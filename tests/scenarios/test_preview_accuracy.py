"""A preview against what happens: the product in one process, on the simulated tenant at its defaults."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from azure.identity.aio import ManagedIdentityCredential

from local.tenant.http.server import SimulatedTenant
from shared.adapters.directory import GraphDirectory
from shared.adapters.graph import GraphClient
from shared.adapters.licenses import GraphLicenseWriter
from shared.domain.directory import AssignedLicense, LicenseError
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.operation import LicenseChange, Operation, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations.accept import accept
from shared.handlers.views import queries
from tests.support.runs import MIA, Run

MOST_MEMBERS = 2000

Problems = set[tuple[LicenseError, SkuId | None]]


async def _no_sleep(_: float) -> None:
    return None


class Tenant:
    """The product's run with the adapters of Graph in place of the fake directory."""

    def __init__(self, tenant: SimulatedTenant, graph: GraphClient) -> None:
        self.tenant = tenant
        self.run = Run()
        world = replace(self.run.world, directory=GraphDirectory(graph), licenses=GraphLicenseWriter(graph))
        self.run.world = world
        self.run.workers = [type(worker)(world) for worker in self.run.workers]
        summary = tenant.state.summary
        self.group = GroupId(summary["groups"]["main"])  # type: ignore[index]
        self.skus: dict[str, SkuId] = summary["skus"]  # type: ignore[assignment]

    async def change(self, *add: str, remove: tuple[str, ...] = (), preview: bool) -> Operation:
        added = tuple(AssignedLicense(self.skus[name]) for name in add)
        change = LicenseChange(added, tuple(self.skus[name] for name in remove))
        asked = await accept(self.run.world, OperationRequest(Target(self.group), MIA, change, preview=preview))
        return await self.run.finish(asked)

    async def predicted(self, shown: Operation) -> dict[UserId, Problems]:
        """The predicted errors of a preview by user, each as error and product."""
        members, token = await queries.planned_members(self.run.world, shown.id, MOST_MEMBERS, None)
        assert token is None
        return {
            each.user_id: {(error.problem.error, error.problem.sku_id) for error in each.action.errors}
            for each in members
            if each.action.errors
        }

    async def actual(self) -> dict[UserId, Problems]:
        """The errors that the members have, and products for which they wait."""
        found: dict[UserId, Problems] = {}
        after: str | None = None
        while True:
            rows, after = await self.run.world.stores.members.errors(self.group, 999, after)
            found.update({row.user_id: {(each.error, each.sku_id) for each in row.problems} for row in rows})
            if after is None:
                return found


@pytest.fixture
async def start(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Awaitable[Tenant]]]:
    """Starts a simulated tenant; of its switches only those of speed are not the defaults."""
    async with AsyncExitStack() as stack:

        async def start(members: int, **options: Any) -> Tenant:
            made = SimulatedTenant(members=members, settings={"quotaScale": 1000}, options=options)
            simulated = await stack.enter_async_context(made)
            monkeypatch.setenv("IDENTITY_ENDPOINT", f"{simulated.url}/msi/token")
            monkeypatch.setenv("IDENTITY_HEADER", "local")
            scope = "https://graph.microsoft.com/.default"
            graph = GraphClient(simulated.graph_url, scope, ManagedIdentityCredential, sleep=_no_sleep)
            stack.push_async_callback(graph.close)
            return Tenant(simulated, graph)

        yield start


Start = Callable[..., Awaitable[Tenant]]


async def compared(tenant: Tenant, *add: str, remove: tuple[str, ...] = ()) -> Operation:
    """Preview a change and make it: every member must have the errors that were predicted, and no others."""
    shown = await tenant.change(*add, remove=remove, preview=True)
    predicted = await tenant.predicted(shown)
    done = await tenant.change(*add, remove=remove, preview=False)
    actual = await tenant.actual()
    assert {user: predicted.get(user) for user in actual} == actual
    assert predicted.keys() == actual.keys()
    assert shown.plan.users_failing == done.totals.failed
    return done


async def test_a_preview_of_2000_members_predicts_the_errors_of_each(start: Start) -> None:
    tenant = await start(2000)
    shown = await tenant.change("SPE_E3", preview=True)
    assert shown.plan.expected_errors == {"MutuallyExclusiveViolation": 20, "UniquenessViolation": 4, "Other": 20}
    done = await compared(tenant, "SPE_E3")
    assert (done.totals.failed, done.totals.applied) == (44, 1936)


@pytest.mark.parametrize(
    "names",
    [
        ("DESKLESSPACK", "SPE_E3"),
        ("EXCHANGESTANDARD", "WORKPLACE_ANALYTICS", "MCOEV"),
        ("SPB", "O365_BUSINESS_PREMIUM", "SPE_E3"),
        ("SPE_E5", "MCOMEETADV"),
    ],
    ids="-".join,
)
async def test_products_that_exclude_or_need_each_other_are_predicted(start: Start, names: tuple[str, ...]) -> None:
    """Also a suspended product, and users whose address another object has."""
    tenant = await start(200, seats=dict.fromkeys([name for name in names if name != "DESKLESSPACK"], 400))
    done = await compared(tenant, *names)
    assert done.totals.failed


async def test_a_second_change_is_predicted_with_what_the_first_one_left(start: Start) -> None:
    tenant = await start(200, seats={"SPE_E5": 400})
    await tenant.change("SPE_E3", preview=False)
    await compared(tenant, "SPE_E5", remove=("SPE_E3",))
    await compared(tenant, "MCOEV")


async def test_users_who_will_wait_for_a_license_are_predicted_by_number(start: Start) -> None:
    tenant = await start(200, seats={"SPE_E3": 150})
    shown = await tenant.change("SPE_E3", preview=True)
    done = await tenant.change("SPE_E3", preview=False)
    assert shown.plan.users_waiting == done.totals.waiting > 20
    assert shown.plan.users_failing == done.totals.failed
