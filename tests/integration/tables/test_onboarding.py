"""Onboarding's rows against Azurite: what is written comes back whole, is found under every name, and falls due."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.domain.directory import AssignedLicense
from shared.domain.errors import Conflict, NotFound
from shared.domain.grant import Grant, Source, SourceKind, do_not_license
from shared.domain.hr_contents import without_content
from shared.domain.hr_events import SourceRules, canonical, read_event
from shared.domain.hr_groups import FormerUse, UnitGroups
from shared.domain.hr_state import Employment, HrState, Stamp, Statement, Taken
from shared.domain.ids import GroupId, ServicePlanId, SkuId, UserId
from shared.domain.initiator import Initiator, hr_sender
from shared.domain.onboarding import (
    GroupOutcome,
    GroupResult,
    LicenseOutcome,
    LicenseResult,
    OnboardingRecord,
    OnboardingState,
    Rejection,
    SourceOrder,
)
from shared.domain.profile_changes import Proposal
from shared.domain.profiles import Profile
from shared.domain.read_models import AuditEntry
from shared.ports.world import Stores
from tests.support.builders import audited

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
ANN = UserId("1d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e")
OTHER = GroupId("0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e40")
TEAM, SKU = GroupId("0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e3f"), SkuId("05e9a617-0261-4cee-bb44-138d3ef5d965")


SAID = Statement("k", date(2026, 11, 1), Stamp("urn:hr", "sequence:0000000000000007", NOW))
EMPLOYED = Employment(frozenset({TEAM}), frozenset({OTHER}), frozenset({"sales"}), SAID, SAID, SAID, continued=True)


def record(name: str, rules: SourceRules | None = None, **data: Any) -> OnboardingRecord:
    value = {
        "specversion": "1.0",
        "type": "hr.joiner.v1",
        "source": "urn:hr/a#?",
        "id": name,
        "data": {
            "user": {"employeeId": "7 ä", "userPrincipalName": "o'ann@x.example"},
            "effectiveDate": "2026-12-01",
            **data,
        },
    }
    event = read_event(value, NOW, rules or SourceRules())
    return OnboardingRecord(
        event,
        canonical(value),
        OnboardingState.RECEIVED,
        NOW,
        NOW,
        hr_sender(Initiator("hr", "HR"), "/hr"),
        next_at=NOW,
    )


async def test_a_record_comes_back_whole(stores: Stores) -> None:
    rules = SourceRules(SourceOrder.SEQUENCE, ZoneInfo("Asia/Tokyo"))
    data = {"groups": [TEAM], "attributes": {"department": "ä"}, "employmentId": "E/1", "sequence": 7}
    (stored,) = await stores.onboarding.insert([record("1", rules, **data)])
    whole = replace(
        stored,
        state=OnboardingState.DONE_WITH_ERRORS,
        user_id=ANN,
        next_at=NOW + timedelta(days=1),
        waits_since=NOW,
        working_since=NOW,
        note="n",
        remedy="r",
        profiles=("sales",),
        groups=(GroupResult(TEAM, GroupOutcome.REJECTED, "t", "r"),),
        licenses=(LicenseResult(SKU, LicenseOutcome.ERROR, "t", "r"),),
        location_rejected=Rejection("no", "r"),
        permitted_by="Mia",
        taken=Taken(EMPLOYED, (Grant(SKU, frozenset({ServicePlanId("p")}), Source(SourceKind.HR, "sales")),)),
        one_of_several=True,
        cancelled_by="Mia",
        superseded_by="k",
        revived=True,
        matched_by="a name",
        candidate=ANN,
        decided_by="Mia",
        released=True,
        announced=True,
        completed_at=NOW,
    )
    saved = await stores.onboarding.save(whole)
    found = await stores.onboarding.get(stored.key)
    assert found == saved
    assert found.event == stored.event, "as it was read when it came, in the order and the time zone of that time"
    assert replace(saved, version=whole.version) == whole
    with pytest.raises(Conflict):
        await stores.onboarding.save(whole)


async def test_inserting_again_gives_what_was_there(stores: Stores) -> None:
    (first,) = await stores.onboarding.insert([record("1")])
    again, other = await stores.onboarding.insert([record("1", sequence=5), record("2")])
    assert again == first
    assert other.version is not None


async def test_a_repeat_is_not_listed_a_second_time(stores: Stores) -> None:
    await stores.onboarding.insert([record("1")])
    for minutes in range(1, 4):
        await stores.onboarding.insert([replace(record("1"), received_at=NOW + timedelta(minutes=minutes))])
    page, token = await stores.onboarding.newest(1)
    assert [each.event.id for each in page] == ["1"]
    assert token is None


async def test_records_are_found_under_every_name_of_the_person(stores: Stores) -> None:
    (one,) = await stores.onboarding.insert([record("1")])
    for name in one.event.person.identities:
        assert await stores.onboarding.of_person([name]) == (one,)
    await stores.onboarding.know(one.key, [f"id:{ANN}"])
    assert await stores.onboarding.of_person([f"id:{ANN}", "employeeId:none"]) == (one,)
    assert await stores.onboarding.of_person(["id:somebody-else"]) == ()


async def test_lists_of_all_and_of_what_needs_a_person_are_paged(stores: Stores) -> None:
    made = [replace(record(str(n)), received_at=NOW + timedelta(minutes=n)) for n in range(5)]
    stored = list(await stores.onboarding.insert(made))
    page, token = await stores.onboarding.newest(3)
    rest, end = await stores.onboarding.newest(3, token)
    assert [each.event.id for each in (*page, *rest)] == ["4", "3", "2", "1", "0"]
    assert end is None
    held = await stores.onboarding.save(replace(stored[0], state=OnboardingState.HELD))
    failed = await stores.onboarding.save(replace(stored[1], state=OnboardingState.FAILED))
    other = await stores.onboarding.save(replace(stored[2], state=OnboardingState.HELD))
    await stores.onboarding.save(replace(other, state=OnboardingState.SUPERSEDED))
    page, token = await stores.onboarding.attention(2)
    assert ({each.event.id for each in page}, token) == ({"0", "1"}, None), "no row of one that needs nobody any more"
    assert {each.event.id for each in (await stores.onboarding.attention(9))[0]} == {"0", "1"}
    await stores.onboarding.save(replace(held, state=OnboardingState.RECEIVED, permitted_by="Mia"))
    assert [each.event.id for each in (await stores.onboarding.attention(9))[0]] == ["1"]
    await stores.onboarding.save(replace(failed, state=OnboardingState.DONE, waits_since=NOW))
    assert await stores.onboarding.attention(9) == ((), None)


async def test_what_is_put_away_falls_due_and_is_taken_off(stores: Stores) -> None:
    (one,) = await stores.onboarding.insert([record("1")])
    put_away = await stores.onboarding.save(replace(one, next_at=NOW + timedelta(days=100)))
    soon = await stores.onboarding.due(NOW + timedelta(minutes=2), 10)
    assert [key for _, key in soon] == [one.key], "the entry it came with finds it"
    await stores.onboarding.check_again([(NOW + timedelta(days=100), one.key)])
    await stores.onboarding.checked(soon)
    assert await stores.onboarding.due(NOW + timedelta(days=99), 10) == ()
    later = await stores.onboarding.due(NOW + timedelta(days=101), 10)
    assert [key for _, key in later] == [one.key]
    await stores.onboarding.save(replace(put_away, next_at=NOW + timedelta(days=50)))
    again = await stores.onboarding.get(one.key)
    assert again is not None
    await stores.onboarding.save(replace(again, next_at=NOW + timedelta(days=20)))
    sooner = await stores.onboarding.due(NOW + timedelta(days=21), 10)
    assert [key for _, key in sooner] == [one.key], "brought forward, it needs an entry of its own"


async def test_entries_that_another_has_taken_off_do_not_keep_the_others(stores: Stores) -> None:
    records = await stores.onboarding.insert([record(str(number)) for number in range(3)])
    due = await stores.onboarding.due(NOW + timedelta(minutes=2), 10)
    assert {key for _, key in due} == {each.key for each in records}
    await stores.onboarding.checked(due[:1])
    await stores.onboarding.checked(due)
    assert await stores.onboarding.due(NOW + timedelta(minutes=2), 10) == ()


async def test_standings_and_profiles_come_back_whole_and_lost_races_are_told(stores: Stores) -> None:
    assert (await stores.hr_states.of_users([ANN]))[ANN] == HrState(ANN)
    kept = HrState(ANN, {"": Employment(), "urn:hr 1": EMPLOYED})
    saved = await stores.hr_states.save(kept)
    assert (await stores.hr_states.of_users([ANN]))[ANN] == saved
    with pytest.raises(Conflict):
        await stores.hr_states.save(HrState(ANN))
    license = AssignedLicense(SKU, frozenset({ServicePlanId("p")}))
    profile = Profile("sales", "Sales", {"department": ("a", "b*")}, (TEAM,), (license,), "DE", 3, True)
    stored = await stores.profiles.save(profile)
    assert await stores.profiles.all() == (stored,)
    assert replace(stored, version=None) == profile
    with pytest.raises(Conflict):
        await stores.profiles.save(profile)
    changed = await stores.profiles.save(replace(stored, display_name="Sales, changed"))
    with pytest.raises(Conflict):
        await stores.profiles.remove(stored)
    await stores.profiles.remove(changed)
    assert await stores.profiles.all() == ()


async def test_a_proposed_version_comes_back_whole_and_is_no_profile(stores: Stores) -> None:
    license = AssignedLicense(SKU, frozenset({ServicePlanId("p")}))
    profile = Profile("sales", "Sales", {"department": ("a",)}, (TEAM,), (license,), "DE", 3, True, True)
    kept = await stores.profiles.propose(Proposal(profile, Initiator("1", "Ann"), NOW, 'W/"1"'))
    newer = await stores.profiles.propose(replace(kept, at=NOW + timedelta(days=1), base=None))
    assert await stores.profiles.proposals() == (newer,)
    assert newer.version != kept.version
    assert await stores.profiles.all() == ()
    with pytest.raises(Conflict):
        await stores.profiles.withdraw(kept)
    await stores.profiles.withdraw(newer)
    with pytest.raises(NotFound):
        await stores.profiles.withdraw(newer)
    assert await stores.profiles.proposals() == ()


async def test_what_hr_used_before_an_upgrade_is_kept_once_and_never_changed(stores: Stores) -> None:
    assert await stores.profiles.former_use() is None
    first = FormerUse(NOW, frozenset({TEAM}))
    assert await stores.profiles.keep_former_use(first) == first
    assert await stores.profiles.keep_former_use(FormerUse(NOW + timedelta(days=9), frozenset({OTHER}))) == first
    assert await stores.profiles.former_use() == first


async def test_groups_of_administrative_units_are_kept_with_the_units_and_the_fault(stores: Stores) -> None:
    assert await stores.profiles.unit_groups() == UnitGroups()
    found = UnitGroups(frozenset({"u1", "u2"}), frozenset({OTHER}), NOW, NOW + timedelta(hours=1), "403")
    await stores.profiles.keep_unit_groups(found)
    assert await stores.profiles.unit_groups() == found
    await stores.profiles.keep_unit_groups(replace(found, read_at=None, groups=frozenset()))
    assert (await stores.profiles.unit_groups()).read_at is None
    assert await stores.profiles.all() == ()
    assert await stores.profiles.all() == ()


def test_the_body_of_a_record_is_the_event_as_it_came() -> None:
    one = record("1")
    assert json.loads(one.body)["source"] == one.event.source


async def test_old_records_that_ended_and_old_audit_months_are_deleted(stores: Stores) -> None:
    done, waiting = await stores.onboarding.insert([record("1"), record("2")])
    await stores.onboarding.save(replace(done, state=OnboardingState.DONE, user_id=ANN))
    assert await stores.onboarding.forget(NOW - timedelta(days=1), 10) == 0
    assert await stores.onboarding.forget(NOW + timedelta(days=1), 10) == 1
    assert await stores.onboarding.get(done.key) is None
    assert await stores.onboarding.get(waiting.key) is not None
    entry = AuditEntry("1", NOW, "Change user license", Initiator("me", "Mia"), "success")
    await stores.audit.append([entry])
    assert await audited(stores, "202611") == (entry,)
    await stores.audit.forget(["202611", "199901"])
    assert await audited(stores, "202611") == ()


async def test_a_block_on_a_person_comes_back_whole(stores: Stores) -> None:
    block = do_not_license("0" * 32, NOW, NOW + timedelta(days=1))
    await stores.grants.put([(ANN, block)])
    assert (await stores.grants.of_users([ANN]))[ANN] == (block,)
    await stores.grants.remove([(ANN, block)])
    assert (await stores.grants.of_users([ANN]))[ANN] == ()


async def test_a_record_leaves_the_list_of_those_that_need_a_person_however_it_goes_on(stores: Stores) -> None:
    one, other = await stores.onboarding.insert([record("1"), record("2")])
    asked = await stores.onboarding.save(replace(one, state=OnboardingState.NEEDS_DECISION))
    await stores.onboarding.save(replace(other, state=OnboardingState.NEEDS_DECISION))
    assert {each.event.id for each in (await stores.onboarding.attention(10))[0]} == {"1", "2"}
    await stores.onboarding.save(replace(asked, state=OnboardingState.SCHEDULED))
    page, _ = await stores.onboarding.attention(10)
    assert [each.event.id for each in page] == ["2"]


async def test_a_record_without_its_content_comes_back_and_is_found_by_id_alone(stores: Stores) -> None:
    one, other = await stores.onboarding.insert([record("1"), record("2")])
    await stores.onboarding.know(one.key, [f"id:{ANN}", "upn:new@contoso.example"])
    ended = replace(one, state=OnboardingState.DONE, user_id=ANN, announced=True, completed_at=NOW)
    saved = await stores.onboarding.save(ended)
    assert await stores.onboarding.ended(NOW, 9) == ((NOW, one.key),)
    kept = without_content(saved)
    with pytest.raises(Conflict):
        await stores.onboarding.forget_content(replace(saved, version=one.version), kept)
    assert await stores.onboarding.get(one.key) == saved
    names = sorted(saved.event.person.identities)
    assert one.key in {each.key for each in await stores.onboarding.of_person(names)}
    await stores.onboarding.forget_content(saved, kept)
    read = await stores.onboarding.get(one.key)
    assert read is not None
    assert replace(read, version=None) == replace(kept, version=None)
    assert read.fingerprint == saved.fingerprint
    found = await stores.onboarding.of_person([*names, "upn:new@contoso.example"])
    assert one.key not in {each.key for each in found}
    assert one.key in {each.key for each in await stores.onboarding.of_person([f"id:{ANN}"])}
    await stores.onboarding.ended_checked([(NOW, one.key)])
    assert await stores.onboarding.ended(NOW, 9) == ()
    assert (await stores.onboarding.get(other.key)) == other
