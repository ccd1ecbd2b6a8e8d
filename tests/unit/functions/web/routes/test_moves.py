"""Moves over the API and the page: a preview, a start, a person who cannot approve, and the report."""

from __future__ import annotations

from typing import Any

import httpx

from shared.domain.messages import OPERATIONS_BULK
from shared.handlers.operations.move_steps import process_step
from tests.support.api_calls import E3, GROUP, OTHER_GROUP, READER, USERS, assigned, claims_of, client, error_of, token
from tests.support.worlds import Fakes

EVERYTHING = token(claims_of(roles=["Licensing.ReadWrite"]))
MOVE = f"/api/groups/{OTHER_GROUP}/moveLicensing"


def licensed(fakes: Fakes) -> None:
    """A natively licensed group of two."""
    for user_id in USERS:
        if fakes.directory.person(user_id) is None:
            fakes.directory.add_user(user_id)
    fakes.native.license(OTHER_GROUP, E3, members=USERS)


async def step(fakes: Fakes) -> None:
    """Take the steps of moves that were sent so far."""
    for message in [each for each in fakes.queue.messages if each.queue == OPERATIONS_BULK]:
        fakes.queue.messages.remove(message)
        await process_step(fakes.world, message.body)


async def ask(api: httpx.AsyncClient, path: str = "", **body: Any) -> httpx.Response:
    return await api.post(f"{MOVE}{path}", json=body)


async def test_a_preview_counts_and_changes_nothing(fakes: Fakes) -> None:
    licensed(fakes)
    async with client(fakes.world, headers=EVERYTHING) as api:
        started = await ask(api, direction="toDirect", preview=True)
        await step(fakes)
        found = (await api.get(MOVE)).json()
    assert (started.status_code, started.headers["location"]) == (202, MOVE)
    assert (found["state"], found["members"], found["verdicts"]["waits"]) == ("preview", len(USERS), len(USERS))
    assert found["licensesNeeded"] == [{"skuId": E3, "needed": 0, "available": found["licensesNeeded"][0]["available"]}]
    assert await fakes.world.stores.assignments.get(OTHER_GROUP) is None


async def test_one_move_of_a_group_at_a_time_and_the_acts_follow_its_state(fakes: Fakes) -> None:
    licensed(fakes)
    async with client(fakes.world, headers=EVERYTHING) as api:
        assert (await ask(api, direction="toDirect")).status_code == 202
        again = await ask(api, direction="toDirect")
        too_early = await ask(api, "/approve", checksum="c")
        paused = (await ask(api, "/pause")).json()
        twice = await ask(api, "/pause")
        undone = (await ask(api, "/undo")).json()
        undone_twice = await ask(api, "/undo")
    assert again.status_code == 409
    for each in (too_early, twice, undone_twice):
        assert (each.status_code, error_of(each)["code"]) == (409, "IllegalState")
    assert paused["state"] == "paused"
    assert (undone["state"], undone["canBeUndone"]) == ("undoing", False)


async def test_what_cannot_be_moved_is_rejected_with_the_reason(fakes: Fakes) -> None:
    licensed(fakes)
    await assigned(fakes.world)
    async with client(fakes.world, headers=EVERYTHING) as api:
        not_managed = await ask(api, direction="toNative")
        not_licensed = await api.post(f"/api/groups/{GROUP}/moveLicensing", json={"direction": "toDirect"})
        waves = await ask(api, direction="toDirect", waves=[50, 10])
        never = await api.get(f"/api/groups/{GROUP}/moveLicensing")
    assert error_of(not_managed)["code"] == "GroupNotManaged"
    assert error_of(not_licensed)["code"] == "GroupNotLicensed"
    assert error_of(waves)["code"] == "InvalidWaves"
    assert never.status_code == 404


async def test_the_report_shows_each_member_before_and_now(fakes: Fakes) -> None:
    licensed(fakes)
    async with client(fakes.world, headers=EVERYTHING) as api:
        await ask(api, direction="toDirect")
        await step(fakes)
        fakes.native.take(USERS[0], OTHER_GROUP)
        report = (await api.get(f"{MOVE}/report")).json()
        csv = (await api.get(f"/groups/{OTHER_GROUP}/move/report.csv")).text
    rows = {each["id"]: each for each in report["value"]}
    assert rows[USERS[0]]["outcome"] == "lost"
    assert rows[USERS[0]]["sourcesBefore"] == [{"skuId": E3, "sources": ["native"]}]
    assert report["outcomes"]["kept"] == len(USERS) - 1
    assert csv.count("kept") == len(USERS) - 1


async def test_a_reader_sees_the_page_and_cannot_move(fakes: Fakes) -> None:
    licensed(fakes)
    async with client(fakes.world, headers=READER) as api:
        assert (await ask(api, direction="toDirect")).status_code == 403
        page = await api.get(f"/groups/{OTHER_GROUP}/move")
    assert (page.status_code, "Preview a move" in page.text) == (200, False)


async def test_the_page_previews_starts_and_pauses(fakes: Fakes) -> None:
    licensed(fakes)
    here = f"/groups/{OTHER_GROUP}/move"
    async with client(fakes.world, headers=EVERYTHING) as api:
        shown = (await api.get(here)).text
        assert ("Preview a move to this app" in shown, "Preview a move to Microsoft" in shown) == (True, False)
        await api.post(here, data={"direction": "toDirect", "preview": "yes"})
        await step(fakes)
        assert "Start this move" in (await api.get(here)).text
        started = await api.post(here, data={"direction": "toDirect"})
        wrong = await api.post(here, data={"direction": "away"})
        await step(fakes)
        await api.post(f"{here}/pause")
        text = (await api.get(here)).text
    assert (started.status_code, wrong.status_code) == (303, 400)
    assert "The move is paused" in text
    assert "Resume" in text


async def test_unmanaged_licenses_are_listed_for_a_move_to_native_alone(fakes: Fakes) -> None:
    licensed(fakes)
    async with client(fakes.world, headers=EVERYTHING) as api:
        rejected = await ask(api, direction="toDirect", convertDirect=[USERS[0]])
        preview = (await ask(api, direction="toDirect", preview=True)).json()
    assert (rejected.status_code, error_of(rejected)["code"]) == (400, "ConvertsNothing")
    assert (preview["convertDirect"], preview["unmanagedMembers"]) == ([], [])
