"""The first-contact check on the simulated tenant: requests, writes, restoring, recordings that name nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from local.tenant import clock
from local.tenant.profile import SWITCHES, read_profile, settings_of
from local.tenant.settings import CHOICES, Settings
from shared.domain.first_contact import Level, RunState
from shared.domain.first_contact_assumptions import BY_NUMBER
from shared.domain.first_contact_recording import recording
from tests.graph_conformance.checking import RECORDINGS, differences, recordings
from tests.support.first_contact import (
    BRIEFLY_BUSY,
    LOAD_OBJECTS,
    LOADERS,
    OBJECTS,
    TEST_GROUP,
    TESTER,
    first_contact_stage,
)
from tests.support.tenant_stage import ANNA, E3

MARK = "tainted"


async def test_a_read_only_run_sends_at_most_sixty_requests_and_writes_nothing() -> None:
    async with first_contact_stage() as stage:
        run = await stage.run()
        metrics = stage.tenant.state.metrics
        assert (run.state, run.fault) == (RunState.COMPLETED, "")
        assert metrics.total.requests == run.requests <= 60
        assert metrics.writes_after(0, 10) == []


async def test_a_basic_run_changes_the_test_objects_alone_and_leaves_them_as_they_were() -> None:
    async with first_contact_stage() as stage:
        before = stage.tester()
        run = await stage.run(Level.BASIC)
        written = stage.tenant.state.metrics.writes_after(0, 100)
        assert (run.state, run.fault, run.dirty) == (RunState.COMPLETED, "", False)
        assert {each["userId"] for each in written} <= {TESTER, TEST_GROUP}
        assert written
        assert run.writes <= 12
        assert stage.tester() == before


@pytest.mark.parametrize("permissions", [[], ["User.Read.All"]])
async def test_without_permissions_a_run_ends_and_knows_nothing_wrong(permissions: list[str]) -> None:
    async with first_contact_stage() as stage:
        await stage.control("PATCH", "settings", {"permissions": {"product": permissions}})
        run = await stage.run()
        assert run.state is RunState.COMPLETED
        found = {each.number: each.position for each in run.findings if each.position}
        assert found.get(8) == ("denied" if not permissions else "full")
        assert not set(found) & {44, 45, 47, 48, 49}


async def test_a_tenant_that_is_away_makes_every_verdict_unclear() -> None:
    async with first_contact_stage() as stage:
        rule = {"match": {"path": "."}, "action": {"status": 503, "retryAfter": 0}}
        await stage.control("POST", "faults", [rule])
        run = await stage.run()
        assert run.state is RunState.COMPLETED
        assert [each for each in run.findings if each.position] == []
        assert run.requests <= 60


async def test_a_lost_answer_to_a_write_is_undone() -> None:
    async with first_contact_stage() as stage:
        before = stage.tester()
        rule = {"match": {"method": "POST", "path": f"^/users/{TESTER}/assignLicense$"}, "after": 2, "times": 1}
        await stage.control("POST", "faults", [{**rule, "action": {"timeoutAfter": True}}])
        await stage.control("PATCH", "settings", {"holdSeconds": 0.1})
        run = await stage.run(Level.BASIC)
        assert run.observations["assign"].status == 0
        assert (run.state, run.dirty) == (RunState.COMPLETED, False)
        assert stage.tester() == before


@pytest.mark.parametrize("code", CHOICES["concurrencyRejection"])
@pytest.mark.parametrize("position", ["accepted", "some", "one"])
async def test_a_load_run_finds_how_many_writes_the_tenant_accepts_at_once_and_restores(
    position: str, code: str
) -> None:
    settings = settings_of({"1": position, "2": str(code)})
    async with first_contact_stage({**settings, **BRIEFLY_BUSY}, LOAD_OBJECTS) as stage:
        before = [stage.tenant.state.directory.users[each].rows for each in LOADERS]
        run = await stage.run(Level.LOAD)
        assert (run.state, run.fault, run.dirty) == (RunState.COMPLETED, "", False)
        found = {each.number: each.position for each in run.findings if each.position}
        assert (found[1], found.get(2)) == (position, None if position == "accepted" else code)
        written = stage.tenant.state.metrics.writes_after(0, 1000)
        assert {each["userId"] for each in written} <= set(LOADERS)
        assert written
        assert run.writes <= 100
        assert [stage.tenant.state.directory.users[each].rows for each in LOADERS] == before


@pytest.mark.parametrize("kind", ["window", "bucket"])
async def test_a_load_run_tells_a_window_from_a_bucket_if_graph_shows_how_full_it_is(kind: str) -> None:
    settings = {"quotaScale": 1, "quotaKind": kind, "throttlePercentage": "from0.8", "retryAfter": "seconds"}
    async with first_contact_stage(settings, LOAD_OBJECTS) as stage:
        state = stage.tenant.state
        state.quota.charge(state.clients["product"].app_id, 1, 2700, "Normal", clock.time())
        run = await stage.run(Level.LOAD)
        assert (run.state, run.fault) == (RunState.COMPLETED, "")
        found = {each.number: each.position for each in run.findings if each.position}
        assert (found.get(52), found.get(16)) == (kind, "sent")


def tainted() -> dict[str, Any]:
    """Objects whose names are all marked."""
    names = {"users": ("displayName", "userPrincipalName", "department", "jobTitle", "employeeId")}
    marked: dict[str, Any] = {"skus": OBJECTS["skus"]}
    for kind in ("users", "groups"):
        marked[kind] = [
            {**each, **{name: f"{MARK} {number}" for name in names.get(kind, ("displayName",))}}
            for number, each in enumerate(OBJECTS[kind])
        ]
    return marked


GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}", re.IGNORECASE)


async def test_a_recording_has_no_name_id_or_token_of_the_tenant() -> None:
    async with first_contact_stage(objects=tainted()) as stage:
        # Errors that quote everything an error could quote, in code, text and headers.
        token = stage.tenant.token()
        secrets = f"{MARK} {ANNA} {TESTER} {E3} {token} {stage.tenant.state.directory.tenant_id}"
        headers = {"x-ms-throttle-scope": secrets, "location": secrets, "Retry-After": secrets, "request-id": secrets}
        for path in ("^/organization", "getByIds", "^/groups/delta", "assignLicense", "not-a-group-id"):
            action = {"status": 400, "code": f"{MARK} {ANNA}", "message": f"User {secrets}.", "headers": headers}
            await stage.control("POST", "faults", [{"match": {"path": path}, "action": action, "times": 1}])
        run = await stage.run(Level.BASIC)
        text = json.dumps(recording(run))
        assert run.state is RunState.COMPLETED
        assert (run.observations["badId"].code, run.observations["badId"].text) == ("*", "User *")
        headers = {name: value for seen in run.observations.values() for name, value in seen.headers.items()}
        assert set(headers.items()) <= {("x-ms-resource-unit", "number"), ("retry-after", "date")}
        assert "retry-after" in headers
        assert MARK not in text
        assert GUID.search(text) is None
        assert GUID.search(repr(run.observations)) is None
        assert token[:20] not in text
        for part in (stage.tenant.state.directory.name, stage.tenant.state.directory.domain):
            assert part.lower() not in text.lower()


async def test_the_taint_test_would_find_a_mark_in_what_is_not_recorded() -> None:
    async with first_contact_stage(objects=tainted()) as stage:
        answer = await stage.world.probes.ask("users", (await stage.run()).subject)
        assert GUID.search(json.dumps(answer.body)) is not None


@pytest.mark.parametrize("name", sorted(each.name for each in RECORDINGS.glob("*.json")))
async def test_the_simulated_tenant_gives_the_recorded_observations(name: str) -> None:
    assert await differences(recordings()[name]) == []


async def test_a_recording_that_differs_is_noticed() -> None:
    (recorded,) = (each for name, each in recordings().items() if name == "simulated-tenant.json")
    recorded["observations"]["badId"]["status"] = 418
    recorded["observations"]["unheardOf"] = recorded["observations"]["badId"]
    found = await differences(recorded)
    assert len(found) == 2
    assert found[0].startswith("step badId: status")


def test_each_position_of_a_profile_is_one_of_the_switch_and_of_the_assumption() -> None:
    known = Settings()
    for number, (name, values) in SWITCHES.items():
        assumption = BY_NUMBER[number]
        assert set(values) <= {*assumption.assumed, *assumption.others}, number
        for position, value in values.items():
            known.patch(settings_of({str(number): position}))
            assert known.as_json()[name] == value
        if name in CHOICES:
            assert set(values.values()) <= set(CHOICES[name])


def test_a_profile_is_read_from_a_recording(tmp_path: Path) -> None:
    file = tmp_path / "recording.json"
    file.write_text(json.dumps({"version": 1, "positions": {"30": "mixed", "26": "seconds"}}))
    assert read_profile(file) == {"idCase": "mixed"}
    file.write_text(json.dumps({"version": 1, "positions": {"30": "sideways"}}))
    with pytest.raises(ValueError, match="sideways"):
        read_profile(file)
    file.write_text("{}")
    with pytest.raises(ValueError, match="no recording"):
        read_profile(file)


async def test_a_tenant_with_the_profile_of_another_one_is_judged_alike() -> None:
    odd = {"30": "mixed", "47": "rejected", "25": "null", "43": "null"}
    async with first_contact_stage(settings_of(odd)) as stage:
        recorded = recording(await stage.run())
    assert {number: recorded["positions"][number] for number in odd} == odd
    assert await differences(recorded) == []


def test_the_simulated_tenant_starts_with_a_profile(tmp_path: Path) -> None:
    file = tmp_path / "recording.json"
    file.write_text(json.dumps({"version": 1, "positions": {"30": "mixed", "47": "rejected"}}))
    command = [sys.executable, "-m", "local.tenant", "--members", "0", "--profile", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            control = json.loads(running.stdout.readline())["control"]
            with urllib.request.urlopen(f"{control}/settings", timeout=30) as answer:
                settings = json.load(answer)
        finally:
            running.terminate()
    assert (settings["idCase"], settings["directorySearch"]) == ("mixed", False)
    assert (Settings().id_case, Settings().directory_search) == ("lower", True)
