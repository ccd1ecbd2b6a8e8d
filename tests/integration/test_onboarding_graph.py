"""Accounts and memberships on the simulated tenant, and the same behaviour asked of the fakes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
from azure.identity.aio import ManagedIdentityCredential

from local.tenant.http.server import SimulatedTenant
from shared.adapters.accounts import GraphAccounts, GraphMemberships
from shared.adapters.directory import GraphDirectory
from shared.adapters.graph import GraphClient
from shared.domain.directory import ReadFailed
from shared.domain.errors import NotFound, PermissionDenied, Unavailable
from shared.domain.ids import GroupId, UserId
from shared.domain.onboarding import Account, PersonRef
from shared.domain.write_results import Accepted, Rejected, Throttled, Unanswered
from shared.handlers.onboarding.membership_writes import hindrance
from shared.ports.directory import Accounts
from shared.ports.graph_writes import AlreadySo, MembershipChange, Memberships
from tests.support.fakes_directory import FakeDirectory
from tests.support.fakes_onboarding import FakeAccounts, FakeMemberships

ANN, BOB, EVE, NOBODY = (UserId(f"00000000-0000-4000-8000-{n:012x}") for n in range(1, 5))
TEAM, RULE, SYNCED, ROLE, MAIL, NO_GROUP = (GroupId(f"00000000-0000-4000-8000-{n:012x}") for n in range(0x100, 0x106))
UPN = "o'ann@fabrikam.example"


@dataclass
class Stage:
    """Accounts and memberships, and what is behind them."""

    accounts: Accounts
    memberships: Memberships
    directory: GraphDirectory | FakeDirectory
    tenant: SimulatedTenant | None = None

    async def control(self, method: str, path: str, body: Any) -> None:
        assert self.tenant is not None
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, f"{self.tenant.url}/_tenant/{path}", json=body) as answer,
        ):
            assert answer.status == 200, await answer.text()


@pytest.fixture
async def on_tenant(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with SimulatedTenant(members=0, settings={"quotaScale": 100}) as tenant:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{tenant.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "local")
        scope = "https://graph.microsoft.com/.default"
        graph = GraphClient(tenant.graph_url, scope, ManagedIdentityCredential, sleep=_no_sleep)
        stage = Stage(GraphAccounts(graph), GraphMemberships(graph, tenant.graph_url), GraphDirectory(graph), tenant)
        users = [
            {"id": ANN, "userPrincipalName": UPN, "employeeId": "E 1"},
            {"id": BOB, "employeeId": "7", "accountEnabled": False},
            {"id": EVE, "employeeId": "7"},
        ]
        groups = [
            {"id": TEAM, "displayName": "Team", "members": [BOB]},
            {"id": RULE, "groupTypes": ["DynamicMembership"], "membershipRule": "x"},
            {"id": SYNCED, "onPremisesSyncEnabled": True},
            {"id": ROLE, "isAssignableToRole": True},
        ]
        await stage.control("POST", "objects", {"users": users, "groups": groups})
        yield stage
        await graph.close()


@pytest.fixture(params=["tenant", "fake"])
async def stage(request: pytest.FixtureRequest, on_tenant: Stage) -> Stage:
    if request.param == "tenant":
        return on_tenant
    directory = FakeDirectory()
    accounts = FakeAccounts(directory, {ANN: "E 1", BOB: "7", EVE: "7"})
    for each, enabled in ((ANN, True), (BOB, False), (EVE, True)):
        directory.add_user(each, enabled=enabled)
    ann = directory.person(ANN)
    assert ann is not None
    directory.change_user(replace(ann, user_principal_name=UPN))
    directory.add_group(TEAM, [BOB])
    return Stage(accounts, FakeMemberships(directory), directory)


UNIT, OTHER_UNIT = (f"00000000-0000-4000-8000-{n:012x}" for n in (0x201, 0x202))


@pytest.mark.parametrize("advanced", [False, True])
async def test_the_groups_of_an_administrative_unit_are_read_on_all_pages_and_without_its_people(
    on_tenant: Stage, advanced: bool
) -> None:
    await on_tenant.control("PATCH", "settings", {"unitCastIsAdvanced": advanced})
    many = [f"00000000-0000-4000-8000-{n:012x}" for n in range(0x1000, 0x1000 + 150)]
    await on_tenant.control("POST", "objects", {"groups": [{"id": each} for each in many]})
    await on_tenant.control("POST", "administrativeUnits", {UNIT: [ANN, *many], OTHER_UNIT: [TEAM, BOB, RULE]})
    assert await on_tenant.directory.groups_of_unit(UNIT) == frozenset(many)
    assert await on_tenant.directory.groups_of_unit(OTHER_UNIT) == {TEAM, RULE}
    fault = {"match": {"path": "administrativeUnits"}, "action": {"status": 500}, "after": 1}
    await on_tenant.control("POST", "faults", fault)
    with pytest.raises(Unavailable):
        await on_tenant.directory.groups_of_unit(UNIT)


async def test_a_unit_that_is_gone_and_one_that_may_not_be_read_are_no_empty_ones(on_tenant: Stage) -> None:
    await on_tenant.control("POST", "administrativeUnits", {UNIT: [TEAM]})
    with pytest.raises(NotFound):
        await on_tenant.directory.groups_of_unit(OTHER_UNIT)
    await on_tenant.control(
        "PATCH", "settings", {"permissionsFromToken": False, "permissions": {"product": ["Group.Read.All"]}}
    )
    with pytest.raises(PermissionDenied):
        await on_tenant.directory.groups_of_unit(UNIT)


async def _no_sleep(_: float) -> None:
    return None


async def ids(stage: Stage, ref: PersonRef) -> set[UserId]:
    found = (await stage.accounts.find([ref]))[ref]
    assert not isinstance(found, ReadFailed), found
    return {account.id for account in found}


async def test_an_account_is_found_by_each_of_its_names(stage: Stage) -> None:
    by_all = PersonRef(ANN, "e 1", UPN.upper())
    refs = [PersonRef(ANN), PersonRef(employee_id="e 1"), PersonRef(user_principal_name=UPN.upper()), by_all]
    found = await stage.accounts.find(refs)
    for ref in refs:
        accounts = found[ref]
        assert not isinstance(accounts, ReadFailed)
        assert [(each.id, each.employee_id, each.account_enabled) for each in accounts] == [(ANN, "E 1", True)]
        assert isinstance(accounts[0], Account)
        assert accounts[0].created_at is not None


async def test_names_that_entra_allows_are_asked_for_as_they_are(on_tenant: Stage) -> None:
    """`#` of guests and `/` in an employeeId (learn.microsoft.com/graph/api/user-get)."""
    guest = "eve_fabrikam.example#EXT#@contoso.example"
    users = [
        {"id": NOBODY, "userPrincipalName": guest, "employeeId": "K/12 #3"},
        {"userPrincipalName": "eve_fabrikam.example@contoso.example", "employeeId": "K"},
    ]
    await on_tenant.control("POST", "objects", {"users": users})
    assert await ids(on_tenant, PersonRef(user_principal_name=guest.upper())) == {NOBODY}
    assert await ids(on_tenant, PersonRef(employee_id="k/12 #3")) == {NOBODY}


async def test_two_accounts_of_one_name_are_both_found_and_none_is_found_for_nobody(stage: Stage) -> None:
    assert await ids(stage, PersonRef(employee_id="7")) == {BOB, EVE}
    assert await ids(stage, PersonRef(ANN, "7")) == {ANN, BOB, EVE}
    assert await ids(stage, PersonRef(NOBODY, "none", "nobody@fabrikam.example")) == set()


async def test_memberships_are_written_once_and_seen_to_be_so_already(stage: Stage) -> None:
    add, again = MembershipChange(TEAM, ANN, add=True), MembershipChange(TEAM, BOB, add=True)
    leave, never = MembershipChange(TEAM, BOB, add=False), MembershipChange(TEAM, EVE, add=False)
    assert list(await stage.memberships.change([add, again])) == [Accepted(), AlreadySo()]
    assert list(await stage.memberships.change([leave, never, add])) == [Accepted(), AlreadySo(), AlreadySo()]
    users = await stage.directory.users([ANN, BOB])
    assert [TEAM in getattr(users[each], "group_ids", ()) for each in (ANN, BOB)] == [True, False]


async def test_a_group_or_person_that_is_not_there_is_rejected(stage: Stage) -> None:
    answers = await stage.memberships.change(
        [MembershipChange(NO_GROUP, ANN, add=True), MembershipChange(TEAM, NOBODY, add=True)]
    )
    assert [answer.status for answer in answers if isinstance(answer, Rejected)] == [404, 404]


async def test_the_tenant_rejects_groups_kept_elsewhere_and_their_reading_says_why(on_tenant: Stage) -> None:
    answers = await on_tenant.memberships.change([MembershipChange(g, ANN, add=True) for g in (RULE, SYNCED, ROLE)])
    assert [answer.status for answer in answers if isinstance(answer, Rejected)] == [400, 400, 403]
    words = [hindrance(await on_tenant.directory.group(g))[0] for g in (RULE, SYNCED, ROLE, TEAM)]
    assert ["rule" in words[0], "on-premises" in words[1], "role-assignable" in words[2], words[3]] == [True] * 3 + [""]


async def test_faults_of_the_batch_and_of_its_items_are_told_apart(on_tenant: Stage) -> None:
    async def fault(path: str, action: dict[str, Any]) -> None:
        rule = {"match": {"method": "POST", "path": path}, "times": 1, "action": action}
        await on_tenant.control("POST", "faults", [rule])

    change = MembershipChange(TEAM, EVE, add=True)
    await fault(f"/groups/{TEAM}/members/*", {"status": 429, "code": "x", "message": "later", "retryAfter": 7})
    assert list(await on_tenant.memberships.change([change])) == [Throttled(7.0)]
    await fault(f"/groups/{TEAM}/members/*", {"status": 500, "code": "x", "message": "broken"})
    (answer,) = await on_tenant.memberships.change([change])
    assert isinstance(answer, Unanswered)
    assert list(await on_tenant.memberships.change([change])) == [Accepted()]
    assert list(await on_tenant.memberships.change([])) == []
    with pytest.raises(ValueError, match="at most 20"):
        await on_tenant.memberships.change([change] * 21)
