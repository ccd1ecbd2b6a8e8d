"""The Graph adapters on the simulated tenant, and the same behaviour asked of the fakes that handlers' tests use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import pytest

from shared.domain.catalog_data import EXCLUSIONS
from shared.domain.directory import (
    AssignedLicense,
    DirectoryUser,
    LicenseAssignmentState,
    NotAUser,
    ReadFailed,
    SubscribedSku,
    UserGone,
    UserRead,
)
from shared.domain.errors import NotFound, PermissionDenied, Unavailable
from shared.domain.ids import GroupId, ServicePlanId, SkuId, UserId
from shared.domain.write_results import Accepted, LicenseCall, Rejected, Throttled, Unanswered, Unsent, WriteResult
from shared.ports.directory import Directory
from shared.ports.graph_writes import LicenseWriter
from tests.support.fakes_directory import FakeDirectory, FakeLicenseWriter
from tests.support.tenant_stage import (
    ALL,
    ANNA,
    BEN,
    CARA,
    DEVICE,
    E3,
    E5,
    F3,
    GUEST,
    INNER,
    INNERMOST,
    NATIVE,
    NATIVE_GROUP,
    NO_GROUP,
    NOBODY,
    NOWHERE,
    SEATS,
    UNKNOWN,
    TenantStage,
    guid,
)

Results = Mapping[UserId, WriteResult]


class Stage(Protocol):
    """A directory, a writer into it, and what happens behind their backs."""

    directory: Directory
    writer: LicenseWriter

    async def delete_user(self, user_id: UserId) -> None: ...

    async def join(self, group_id: GroupId, member_id: str) -> None: ...

    async def throttle(self, user_id: UserId, seconds: float) -> None: ...

    async def lose(self, user_id: UserId, *, done: bool) -> None: ...

    async def go_away(self) -> None: ...


class FakeStage:
    """The fakes, filled with the same."""

    def __init__(self, skus: tuple[SubscribedSku, ...]) -> None:
        self.fake = FakeDirectory(exclusions=EXCLUSIONS)
        self.fake_writer = FakeLicenseWriter(self.fake)
        self.directory: Directory = self.fake
        self.writer: LicenseWriter = self.fake_writer
        for sku in skus:
            self.fake.add_sku(sku)
        inherited = LicenseAssignmentState(F3, assigned_by_group=NATIVE_GROUP)
        self.fake.add_user(ANNA)
        self.fake.add_user(BEN, has=[AssignedLicense(E3)])
        self.fake.add_user(CARA)
        self.fake.add_user(GUEST, guest=True, enabled=False)
        self.fake.add_user(NOWHERE, location=None)
        self.fake.add_user(NATIVE, rows=[inherited])
        self.fake.add_other(DEVICE)
        self.fake.add_group(INNERMOST, [CARA, GUEST])
        self.fake.add_group(INNER, [BEN, INNERMOST, DEVICE])
        self.fake.add_group(ALL, [ANNA, BEN, INNER])
        self.fake.add_group(NATIVE_GROUP, [NATIVE])

    async def delete_user(self, user_id: UserId) -> None:
        self.fake.delete_user(user_id)

    async def join(self, group_id: GroupId, member_id: str) -> None:
        self.fake.join(group_id, member_id)

    async def throttle(self, user_id: UserId, seconds: float) -> None:
        self.fake_writer.throttle(user_id, seconds)

    async def lose(self, user_id: UserId, *, done: bool) -> None:
        if done:
            self.fake_writer.lose_answer(user_id)
        else:
            self.fake_writer.drop(user_id)

    async def go_away(self) -> None:
        self.fake.go_away(60.0)


@pytest.fixture(params=["tenant", "fake"])
async def stage(request: pytest.FixtureRequest, on_tenant: TenantStage) -> Stage:
    if request.param == "tenant":
        return on_tenant
    skus = await on_tenant.directory.subscribed_skus()
    return FakeStage(tuple(_unused(sku) for sku in skus if sku.sku_id in SEATS))


def _unused(sku: SubscribedSku) -> SubscribedSku:
    return SubscribedSku(sku.sku_id, sku.sku_part_number, sku.service_plans, enabled=SEATS[sku.sku_id])


def present(read: UserRead) -> DirectoryUser:
    assert isinstance(read, DirectoryUser), read
    return read


async def licenses_of(stage: Stage, user_id: UserId) -> dict[SkuId, frozenset[ServicePlanId]]:
    user = present((await stage.directory.users([user_id]))[user_id])
    return {sku_id: row.disabled_plans for sku_id, row in user.direct.items()}


def add(*sku_ids: SkuId, remove: tuple[SkuId, ...] = ()) -> LicenseCall:
    return LicenseCall(tuple(AssignedLicense(sku_id) for sku_id in sku_ids), remove)


def text(result: WriteResult) -> str:
    assert isinstance(result, Rejected), result
    assert result.status == 400
    return result.message


async def members(stage: Stage, group_id: GroupId) -> dict[UserId, DirectoryUser]:
    return {user.id: user async for page in stage.directory.member_pages(group_id) for user in page}


class TestEveryDirectory:
    """What the adapters and the fakes promise alike."""

    async def test_users_come_with_licenses_and_all_groups(self, stage: Stage) -> None:
        reads = await stage.directory.users([BEN, GUEST, NATIVE])
        ben, guest, native = (present(reads[each]) for each in (BEN, GUEST, NATIVE))
        assert ben.direct.keys() == {E3}
        assert ben.group_ids == {ALL, INNER}
        assert (guest.is_guest, guest.account_enabled) == (True, False)
        assert guest.group_ids == {ALL, INNER, INNERMOST}
        assert native.direct == {}
        assert native.inherited.keys() == {F3}
        assert native.inherited[F3][0].assigned_by_group == NATIVE_GROUP

    async def test_groups_are_left_out_where_nobody_asks(self, stage: Stage) -> None:
        reads = await stage.directory.users([BEN, ANNA], with_groups=False)
        assert [present(read).group_ids for read in reads.values()] == [frozenset()] * 2

    async def test_what_is_no_user_is_named_and_who_is_deleted_is_gone(self, stage: Stage) -> None:
        if isinstance(stage, TenantStage):
            await stage.control("PATCH", "settings", {"byIdsPermission": "objects"})
        await stage.delete_user(CARA)
        reads = await stage.directory.users([DEVICE, UserId(ALL), CARA, NOBODY, ANNA])
        assert [reads[each] for each in (DEVICE, UserId(ALL), CARA, NOBODY)] == [
            NotAUser("device"),
            NotAUser("group"),
            UserGone(),
            UserGone(),
        ]
        present(reads[ANNA])

    async def test_members_are_the_users_of_nested_groups_too(self, stage: Stage) -> None:
        found = await members(stage, ALL)
        assert found.keys() == {ANNA, BEN, CARA, GUEST}
        assert found[BEN].direct.keys() == {E3}
        assert {user.group_ids for user in found.values()} == {frozenset()}
        await stage.join(INNERMOST, NOWHERE)
        assert (await members(stage, ALL))[NOWHERE].usage_location is None
        await stage.delete_user(ANNA)
        assert (await members(stage, ALL)).keys() == {BEN, CARA, GUEST, NOWHERE}

    async def test_a_group_that_is_not_there_is_not_found(self, stage: Stage) -> None:
        assert (await stage.directory.group(ALL)).security_enabled
        with pytest.raises(NotFound):
            await stage.directory.group(NO_GROUP)
        with pytest.raises(NotFound):
            await members(stage, NO_GROUP)

    async def test_seats_are_counted_once_per_user(self, stage: Stage) -> None:
        await stage.writer.assign({NATIVE: add(F3), ANNA: add(F3)}, urgent=False)
        available = {sku.sku_id: sku.available for sku in await stage.directory.subscribed_skus(0.0)}
        assert available == {E3: 99, E5: 1, F3: 98}

    async def test_a_directory_that_is_away_raises(self, stage: Stage) -> None:
        await stage.go_away()
        with pytest.raises(Unavailable) as caught:
            await stage.directory.users([ANNA, BEN])
        assert caught.value.retry_after_s == 60
        with pytest.raises(Unavailable):
            await members(stage, ALL)
        with pytest.raises(Unavailable):
            await stage.directory.group(ALL)


class TestEveryWriter:
    """What the adapters and the fakes promise alike."""

    async def test_licenses_are_added_and_replaced_in_one_call(self, stage: Stage) -> None:
        plans = next(sku for sku in await stage.directory.subscribed_skus() if sku.sku_id == E3).plan_ids
        off = frozenset({min(plans)})
        one = LicenseCall((AssignedLicense(E3, off),), ())
        assert await stage.writer.assign({ANNA: one, BEN: add(E5, remove=(E3,))}, urgent=True) == {
            ANNA: Accepted(),
            BEN: Accepted(),
        }
        assert await licenses_of(stage, ANNA) == {E3: off}
        assert await licenses_of(stage, BEN) == {E5: frozenset()}
        assert await stage.writer.assign({ANNA: add(E3)}, urgent=True) == {ANNA: Accepted()}
        assert await licenses_of(stage, ANNA) == {E3: frozenset()}

    async def test_the_last_seat_is_given_once(self, stage: Stage) -> None:
        first: Results = await stage.writer.assign({ANNA: add(E5)}, urgent=False)
        second: Results = await stage.writer.assign({CARA: add(E5), ANNA: add(E5)}, urgent=False)
        assert first[ANNA] == Accepted()
        assert text(second[CARA]) == f"Subscription with SKU {E5} does not have any available licenses."
        assert second[ANNA] == Accepted()
        assert await licenses_of(stage, CARA) == {}

    async def test_rejections_are_in_graphs_words_and_leave_the_others(self, stage: Stage) -> None:
        results = await stage.writer.assign(
            {
                ANNA: add(UNKNOWN),
                BEN: add(F3),
                CARA: add(remove=(E3,)),
                NOWHERE: add(E3),
                NATIVE: add(remove=(F3,)),
                GUEST: add(E3),
                NOBODY: add(E3),
            },
            urgent=False,
        )
        assert text(results[ANNA]) == f"License {UNKNOWN} does not correspond to a valid company License."
        assert "mutually exclusive" in text(results[BEN])
        assert text(results[CARA]) == "User does not have a corresponding license."
        assert "invalid usage location" in text(results[NOWHERE])
        assert "inherited from a group membership" in text(results[NATIVE])
        assert results[GUEST] == Accepted()
        gone = results[NOBODY]
        assert isinstance(gone, Rejected)
        assert (gone.status, gone.code) == (404, "Request_ResourceNotFound")
        assert await licenses_of(stage, BEN) == {E3: frozenset()}

    async def test_a_usage_location_set_first_lets_a_license_follow(self, stage: Stage) -> None:
        places = await stage.writer.set_usage_locations({NOWHERE: "AT", ANNA: "FR"}, urgent=False)
        assert places == {NOWHERE: Accepted(), ANNA: Accepted()}
        assert await stage.writer.assign({NOWHERE: add(E3)}, urgent=False) == {NOWHERE: Accepted()}
        reads = await stage.directory.users([NOWHERE, ANNA])
        assert [present(read).usage_location for read in reads.values()] == ["AT", "FR"]

    async def test_a_throttled_user_waits_and_the_other_is_done(self, stage: Stage) -> None:
        await stage.throttle(ANNA, 7.5)
        results = await stage.writer.assign({ANNA: add(E3), CARA: add(E3)}, urgent=False)
        rejected = results[ANNA]
        assert isinstance(rejected, Throttled)
        assert rejected.retry_after_s == 7.5
        assert results[CARA] == Accepted()
        assert (await licenses_of(stage, ANNA), await licenses_of(stage, CARA)) == ({}, {E3: frozenset()})

    @pytest.mark.parametrize("done", [True, False])
    async def test_a_lost_answer_is_unanswered_whether_the_write_was_done_or_not(
        self, stage: Stage, done: bool
    ) -> None:
        await stage.lose(ANNA, done=done)
        results = await stage.writer.assign({ANNA: add(E3), CARA: add(E3)}, urgent=False)
        assert isinstance(results[ANNA], Unanswered)
        assert results[CARA] == Accepted()
        assert await licenses_of(stage, ANNA) == ({E3: frozenset()} if done else {})


async def test_the_tenant_counts_two_requests_for_a_batch_of_users_and_one_for_their_writes(
    on_tenant: TenantStage,
) -> None:
    await on_tenant.control("POST", "metrics/reset")
    await on_tenant.directory.users([ANNA, BEN, CARA])
    await on_tenant.writer.assign({ANNA: add(E3), CARA: add(E3)}, urgent=False)
    metrics = await on_tenant.control("GET", "metrics")
    assert (metrics["requests"], metrics["items"], metrics["writes"]) == (3, 8, 2)


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", f"^/users/{ANNA}$", {"dropItem": True}),
        ("GET", f"^/users/{ANNA}$", {"nullFields": ["licenseAssignmentStates"]}),
        ("POST", f"^/users/{ANNA}/getMemberGroups$", {"dropItem": True}),
        ("POST", f"^/users/{ANNA}/getMemberGroups$", {"missingValue": True}),
    ],
)
async def test_a_thin_answer_for_one_user_is_a_failed_read(
    on_tenant: TenantStage, method: str, path: str, action: Mapping[str, Any]
) -> None:
    await on_tenant.fault(method, path, action)
    reads = await on_tenant.directory.users([ANNA, BEN])
    assert isinstance(reads[ANNA], ReadFailed)
    present(reads[BEN])
    present((await on_tenant.directory.users([ANNA]))[ANNA])


async def test_members_without_user_permission_raise_and_name_it(on_tenant: TenantStage) -> None:
    await on_tenant.control(
        "PATCH",
        "settings",
        {"permissionsFromToken": False, "permissions": {"product": ["GroupMember.Read.All", "Group.Read.All"]}},
    )
    with pytest.raises(PermissionDenied, match=r"User\.Read\.All"):
        await members(on_tenant, ALL)
    reads = await on_tenant.directory.users([ANNA, BEN])
    assert [isinstance(read, ReadFailed) and read.denied for read in reads.values()] == [True, True]


async def test_members_come_through_single_reads_where_their_states_are_not_shown(on_tenant: TenantStage) -> None:
    whole = await members(on_tenant, ALL)
    await on_tenant.control("PATCH", "settings", {"memberStates": "absent"})
    alone = await members(on_tenant, ALL)
    assert alone.keys() == whole.keys()
    assert alone[BEN].direct.keys() == whole[BEN].direct.keys() == {E3}


async def test_a_page_of_members_without_value_raises(on_tenant: TenantStage) -> None:
    await on_tenant.fault("GET", "transitiveMembers", {"missingValue": True})
    with pytest.raises(Unavailable):
        await members(on_tenant, ALL)


async def test_a_group_over_several_pages_is_complete(on_tenant: TenantStage) -> None:
    people = [UserId(guid(0x10000 + number)) for number in range(2100)]
    crowd = GroupId(guid(0x200))
    objects = {"users": [{"id": each} for each in people], "groups": [{"id": crowd, "members": people}]}
    await on_tenant.control("POST", "objects", objects)
    await on_tenant.control("POST", "metrics/reset")
    pages = [page async for page in on_tenant.directory.member_pages(crowd)]
    assert [len(page) for page in pages] == [999, 999, 102]
    assert {user.id for page in pages for user in page} == set(people)
    assert (await on_tenant.control("GET", "metrics"))["requests"] == 3


async def test_holders_of_addresses_are_found_however_many_are_asked_for(on_tenant: TenantStage) -> None:
    names = [f"o'user{number}@fabrikam.example" for number in range(300)]
    holder, other = UserId(guid(0x20001)), UserId(guid(0x20002))
    users = [
        {"id": holder, "userPrincipalName": names[0], "aliases": ["O'User299@fabrikam.example"]},
        {"id": other, "userPrincipalName": names[7]},
    ]
    await on_tenant.control("POST", "objects", {"users": users})
    found = await on_tenant.directory.address_holders(names)
    assert found == {names[0]: {holder}, names[299]: {holder}, names[7]: {other}}
    assert await on_tenant.directory.address_holders([]) == {}


async def test_a_reset_connection_is_an_unanswered_write_and_a_repeated_read(on_tenant: TenantStage) -> None:
    await on_tenant.fault("POST", r"^/\$batch", {"reset": True})
    results = await on_tenant.writer.assign({ANNA: add(E3), CARA: add(E3)}, urgent=False)
    assert all(isinstance(each, Unanswered) for each in results.values())
    await on_tenant.fault("POST", r"^/\$batch", {"reset": True})
    assert await licenses_of(on_tenant, ANNA) == {}


async def test_the_usage_location_needs_a_permission_of_its_own(on_tenant: TenantStage) -> None:
    granted = ["LicenseAssignment.ReadWrite.All", "User.Read.All", "Group.Read.All"]
    await on_tenant.control("PATCH", "settings", {"permissionsFromToken": False, "permissions": {"product": granted}})
    places = await on_tenant.writer.set_usage_locations({NOWHERE: "AT", ANNA: "FR"}, urgent=False)
    assert [isinstance(each, Rejected) and each.status for each in places.values()] == [403, 403]
    assert await on_tenant.writer.assign({ANNA: add(E3)}, urgent=False) == {ANNA: Accepted()}


async def test_nobody_listening_is_nothing_written(on_tenant: TenantStage) -> None:
    await on_tenant.directory.users([ANNA])
    await on_tenant.tenant.stop()
    results = await on_tenant.writer.assign({ANNA: add(E3), CARA: add(E3)}, urgent=False)
    assert set(results.values()) == {Unsent(5.0)}
    with pytest.raises(Unavailable):
        await on_tenant.directory.users([ANNA])


async def test_the_typed_client_talks_to_the_same_graph(on_tenant: TenantStage) -> None:
    graph: Any = on_tenant.directory._graph  # type: ignore[attr-defined]
    found = await (await graph.client()).subscribed_skus.get()
    assert {str(each.sku_id) for each in found.value} == set(SEATS)
