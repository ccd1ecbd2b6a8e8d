"""Verdicts of the first-contact check, comparison of runs, and what an observation keeps of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.domain.first_contact import Answer, Change, Finding, Level, Observation, Run, RunState, Verdict, changes
from shared.domain.first_contact_assumptions import ASSUMPTIONS, BY_NUMBER, Tried
from shared.domain.first_contact_observations import (
    delta_traits,
    error_traits,
    member_state_traits,
    observe,
    processing_traits,
    product_traits,
)
from shared.domain.first_contact_recording import observation_json, observation_of
from shared.domain.first_contact_verdicts import JUDGES, findings
from shared.domain.first_contact_words import known_code, known_text

OK, BAD, GONE, DENIED = Observation(200), Observation(400), Observation(404), Observation(403)


def traits(status: int = 200, **found: str) -> Observation:
    return Observation(status, traits=found)


def batch(writes: int, accepted: int) -> Observation:
    """Of so many writes at once, those that were not accepted were rejected because of the others."""
    return traits(writes=str(writes), accepted=str(accepted), concurrent=str(writes - accepted))


UNITS = Observation(200, headers={"x-ms-resource-unit": "number"})
THROTTLED = Observation(429, headers={"retry-after": "decimal"})
LIMITS = Observation(200, headers={"x-ms-throttle-limit-percentage": "number"})
VALID = Observation(400, text="License * does not correspond to a valid company License")
NOT_HELD = Observation(400, text="User does not have a corresponding license")

POSITIONS: tuple[tuple[int, Mapping[str, Observation], str], ...] = (
    (1, {"twenty": batch(20, 20), "five": batch(5, 5)}, "accepted"),
    (1, {"twenty": batch(20, 1), "five": batch(5, 1)}, "one"),
    (1, {"twenty": batch(20, 12), "five": batch(5, 5)}, "some"),
    (1, {"twenty": batch(20, 20), "pair": batch(2, 1)}, "some"),
    (1, {"pair": batch(2, 0)}, "one"),
    (1, {"twenty": traits(writes="20", accepted="19", concurrent="0")}, ""),
    (1, {"one": batch(1, 1)}, ""),
    (2, {"five": traits(rejection="400 Request_BadRequest"), "twenty": batch(20, 20)}, "400 Request_BadRequest"),
    (
        2,
        {"removeTogether": traits(rejection="409 Directory_ConcurrencyViolation")},
        "409 Directory_ConcurrencyViolation",
    ),
    (2, {"twenty": traits(rejection="418 *")}, ""),
    (2, {"twenty": batch(20, 20)}, ""),
    (3, {"partial": traits(400, contended="yes"), "afterPartial": traits(license="absent")}, ""),
    (3, {"partial": BAD, "afterPartial": traits(license="absent")}, "nothing"),
    (4, {"exclusive": traits(exclusion="conflictsWith")}, "conflictsWith"),
    (4, {"exclusive": traits(accepted="1")}, ""),
    (18, {"twenty": traits(order="some")}, "some"),
    (18, {"twenty": traits(throttled="5")}, ""),
    (52, {"level": traits(quota="window")}, "window"),
    (52, {"level": traits(quota="bucket")}, "bucket"),
    (52, {"level": traits()}, ""),
    (3, {"partial": BAD, "afterPartial": traits(license="present")}, "additions"),
    (3, {"partial": OK, "afterPartial": traits(license="present")}, ""),
    (6, {"removeUnknown": VALID}, "rejected"),
    (6, {"removeUnknown": NOT_HELD}, "taken"),
    (6, {"removeUnknown": OK}, "taken"),
    (6, {"removeUnknown": DENIED}, ""),
    (7, {"subscribedSkus": traits(lockedOut="there")}, "there"),
    (7, {"subscribedSkus": traits(lockedOut="absent")}, "absent"),
    (8, {"organization": traits(country="there")}, "full"),
    (8, {"organization": traits(country="absent")}, "minimal"),
    (8, {"organization": DENIED}, "denied"),
    (8, {"organization": Observation(503)}, ""),
    (9, {"getByIds": DENIED}, "denied"),
    (9, {"getByIds": OK}, "works"),
    (11, {"changesEnumerated": traits(change="reported"), "changesLatest": traits(change="reported")}, "reported"),
    (11, {"changesEnumerated": traits(change="reported"), "changesLatest": traits(change="missing")}, "never"),
    (11, {"changesEnumerated": traits(change="missing"), "changesLatest": traits(change="missing")}, ""),
    (12, {"latestFilter": OK}, "accepted"),
    (12, {"latestFilter": BAD}, "rejected"),
    (12, {"latestFilter": Observation(500)}, ""),
    (13, {"oldLink": Observation(410, "syncStateNotFound")}, "410 syncStateNotFound"),
    (13, {"oldLink": Observation(400, "SomethingNew")}, "other"),
    (13, {"oldLink": OK}, ""),
    (14, {"deltaEnumerated": traits(members="repeated")}, "repeated"),
    (14, {"deltaEnumerated": traits(members="once")}, "once"),
    (15, {"deltaEnumerated": UNITS}, "there"),
    (15, {"deltaEnumerated": OK}, "absent"),
    (16, {"users": LIMITS}, "sent"),
    (16, {"users": OK}, ""),
    (17, {"users": THROTTLED}, "decimal"),
    (17, {"users": Observation(429)}, "absent"),
    (17, {"users": OK}, ""),
    (21, {"groupUnknownSku": BAD}, "rejected"),
    (21, {"groupUnknownSku": Observation(202)}, "accepted"),
    (23, {"countFilter": BAD, "licensedGroups": traits(processing="text")}, "text"),
    (23, {"countFilter": traits(processing="object"), "licensedGroups": traits(processing="failed")}, "failed"),
    (24, {"licenseErrorsFilter": BAD}, "rejected"),
    (24, {"licenseErrorsFilter": OK}, "works"),
    (25, {"memberStates": BAD}, "rejected"),
    (25, {"memberStates": traits(states="null")}, "null"),
    (26, {"visible": Observation(200, seconds=2), "gone": Observation(200, seconds=5)}, "seconds"),
    (26, {"visible": Observation(200, seconds=2), "gone": Observation(200, seconds=91)}, "minutes"),
    (26, {"visible": GONE}, ""),
    (29, {"users": OK, "memberStates": traits(other="Others")}, "Others"),
    (29, {"users": traits(other="Other")}, "documented"),
    (29, {"users": OK}, ""),
    (30, {"subscribedSkus": traits(ids="mixed")}, "mixed"),
    (30, {"subscribedSkus": traits(503, ids="mixed")}, ""),
    (31, {"locationUk": BAD}, "isoOnly"),
    (31, {"locationUk": Observation(204)}, "any"),
    (34, {"badId": GONE}, "notFound"),
    (34, {"badId": Observation(400, text="Invalid object identifier *")}, "invalidIdentifier"),
    (34, {"badId": BAD}, "other"),
    (35, {"laterDependency": BAD}, "rejected"),
    (35, {"laterDependency": OK}, "accepted"),
    (36, {"absoluteAddress": OK, "otherCase": OK}, "accepted"),
    (36, {"absoluteAddress": OK, "otherCase": BAD}, "rejected"),
    (36, {"absoluteAddress": OK}, ""),
    (41, {"unknownPlan": BAD}, "rejected"),
    (41, {"unknownPlan": OK}, "ignored"),
    (42, {"visible": OK, "again": traits(time="moves")}, "moves"),
    (42, {"visible": OK, "again": traits(time="keeps")}, "keeps"),
    (43, {"users": traits(good="none"), "visible": traits(good="none")}, "none"),
    (43, {"users": traits(good="none"), "visible": traits(good="null")}, ""),
    (44, {"countFilter": OK}, "works"),
    (44, {"countFilter": BAD}, "rejected"),
    (45, {"anyFilter": OK}, "works"),
    (45, {"anyFilter": BAD}, "rejected"),
    (46, {"usersByProduct": OK}, "works"),
    (46, {"usersByProduct": BAD}, "rejected"),
    (47, {"search": OK}, "works"),
    (47, {"search": BAD}, "rejected"),
    (48, {"roleEligibility": OK}, "works"),
    (48, {"roleEligibility": Observation(400, "AadPremiumLicenseRequired")}, "noLicense"),
    (48, {"roleEligibility": DENIED}, ""),
    (49, {"roles": traits(isPrivileged="absent")}, "absent"),
    (49, {"roles": traits(isPrivileged="there")}, "there"),
)


@pytest.mark.parametrize(("number", "observed", "position"), POSITIONS)
def test_an_observation_leads_to_its_position(number: int, observed: Mapping[str, Observation], position: str) -> None:
    assumption = BY_NUMBER[number]
    level = Level.LOAD if assumption.tried is Tried.LOAD else Level.BASIC
    found = next(each for each in findings(observed, level) if each.number == number)
    verdict = (
        Verdict.UNKNOWN if not position
        else Verdict.AS_ASSUMED if position in assumption.assumed
        else Verdict.OTHERWISE
    )  # fmt: skip
    assert found == Finding(number, verdict, position)


def test_every_judged_assumption_has_a_row_here_and_every_position_is_one_of_the_table() -> None:
    assert {number for number, _, _ in POSITIONS} == set(JUDGES)
    known = {number: {*BY_NUMBER[number].assumed, *BY_NUMBER[number].others, ""} for number in JUDGES}
    assert [(number, position) for number, _, position in POSITIONS if position not in known[number]] == []


def test_numbers_are_unique_and_an_assumption_that_is_tried_says_what_follows() -> None:
    assert [each.number for each in ASSUMPTIONS] == list(range(1, len(ASSUMPTIONS) + 1))
    assert [each.number for each in ASSUMPTIONS if each.others and each.number in JUDGES and not each.otherwise] == []


def test_without_an_observation_nothing_is_known() -> None:
    verdicts = {each.number: each.verdict for each in findings({}, Level.READ_ONLY)}
    assert set(verdicts.values()) == {Verdict.UNKNOWN, Verdict.NOT_TRIED}
    basic = [each.number for each in ASSUMPTIONS if each.tried is Tried.BASIC]
    assert {verdicts[number] for number in basic} == {Verdict.NOT_TRIED}
    load = {each.number: each.verdict for each in findings({}, Level.LOAD)}
    assert (load[1], load[3], load[7]) == (Verdict.UNKNOWN, Verdict.NOT_TRIED, Verdict.UNKNOWN)


def run(*found: Finding) -> Run:
    return Run("a", Level.READ_ONLY, RunState.COMPLETED, datetime(2026, 1, 1, tzinfo=UTC), findings=found)


def test_a_change_is_found_against_the_newest_run_with_a_clear_answer() -> None:
    unclear, works = run(Finding(47, Verdict.UNKNOWN)), run(Finding(47, Verdict.AS_ASSUMED, "works"))
    rejected = Finding(47, Verdict.OTHERWISE, "rejected")
    assert changes([unclear, works], [rejected]) == (Change(47, "works", "rejected"),)
    assert changes([run(rejected), works], [rejected]) == ()
    assert changes([works], [Finding(47, Verdict.UNKNOWN)]) == ()
    assert changes([], [rejected]) == ()


SECRETS = ("Anna Muster", "anna.muster@contoso.example", "05e9a617-0261-4cee-bb44-138d3ef5d965", "eyJ0eXAi.abc.def")


@pytest.mark.parametrize("secret", SECRETS)
def test_a_text_keeps_its_known_words_and_nothing_of_a_tenant(secret: str) -> None:
    shown = known_text(f"License assignment cannot be done for user {secret} with invalid usage location.")
    assert secret not in shown
    assert not any(part in shown for part in secret.replace("@", " ").replace(".", " ").split())
    assert shown.endswith("for user * with invalid usage location")


def test_a_part_of_an_id_that_is_a_word_does_not_pass() -> None:
    assert known_text("Resource 'a-be-no' does not exist") == "Resource * does not exist"
    assert [known_code(code) for code in ("Request_BadRequest", "a b", "x" * 80, "")] == [
        "Request_BadRequest",
        "*",
        "*",
        "",
    ]


def test_an_observation_keeps_known_names_and_forms() -> None:
    body = {"value": [{"id": "1", "displayName": "Anna", "extension_abc_secret": "x"}], "@odata.nextLink": "https://x"}
    headers = {"Retry-After": "7", "request-id": "secret", "x-ms-resource-unit": "3", "Location": "https://x"}
    seen = observe(Answer(200, headers, body, 1.234))
    assert seen.headers == {"retry-after": "seconds", "x-ms-resource-unit": "number"}
    assert seen.shape == {
        "value": "array",
        "value[].id": "text",
        "value[].displayName": "text",
        "@odata.nextLink": "text",
    }
    assert seen.seconds == 1.2
    assert observation_of(observation_json(seen)) == seen


@pytest.mark.parametrize(("value", "form"), [("7", "seconds"), ("7.5", "decimal"), ("Tue, 01 Dec 2026", "date")])
def test_the_form_of_retry_after_is_kept_and_its_value_is_not(value: str, form: str) -> None:
    assert observe(Answer(429, {"retry-after": value})).headers == {"retry-after": form}


def users(*rows: Mapping[str, Any]) -> dict[str, Any]:
    return {"value": [{"licenseAssignmentStates": [dict(row)]} for row in rows]}


def test_errors_of_licenses_are_named_by_a_fixed_list() -> None:
    good, null = {"state": "Active", "error": "None"}, {"state": "Active", "error": None}
    assert error_traits(users(good)) == {"good": "none"}
    assert error_traits(users(null)) == {"good": "null"}
    assert error_traits(users(good, {"state": "Error", "error": "Others"})) == {"good": "none", "other": "Others"}
    assert error_traits(users({"state": "Error", "error": "Anna"})) == {"other": "new"}
    assert error_traits(users({"state": "Error", "error": "CountViolation"})) == {}


def test_traits_of_collections() -> None:
    assert member_state_traits({"value": [{"id": "1"}]}) == {"states": "absent"}
    assert member_state_traits({"value": [{"licenseAssignmentStates": None}]}) == {"states": "null"}
    assert member_state_traits({"value": []}) == {}
    nested = {"@odata.type": "#microsoft.graph.group", "id": "2"}
    user = {"@odata.type": "#microsoft.graph.user", "licenseAssignmentStates": []}
    assert member_state_traits({"value": [nested]}) == {}
    assert member_state_traits({"value": [nested, user]}) == {"states": "there"}
    assert product_traits({"value": [{"skuId": "AB", "prepaidUnits": {}}]}) == {"lockedOut": "absent", "ids": "mixed"}
    licensed = {"assignedLicenses": [{}], "licenseProcessingState": {"state": "ProcessingFailed"}}
    assert processing_traits({"value": [licensed]}) == {"processing": "failed"}
    assert processing_traits({"value": [{**licensed, "assignedLicenses": []}]}) == {}
    once = {"id": "g", "members@delta": [{"id": "1"}, {"id": "2"}]}
    assert delta_traits({"value": [once]}) == {"members": "once"}
    assert delta_traits({"value": [once, once]}) == {"members": "repeated"}


def test_only_an_open_basic_run_uses_its_test_user() -> None:
    basic = replace(run(), level=Level.BASIC, state=RunState.RUNNING)
    basic = replace(basic, subject=replace(basic.subject, test_user_id="u"))
    assert basic.uses == {"u"}
    assert replace(basic, state=RunState.COMPLETED).uses == frozenset()
    assert replace(basic, level=Level.READ_ONLY).uses == frozenset()
