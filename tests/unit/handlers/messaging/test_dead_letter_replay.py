"""Dead letters: kept with their reason, sent back by a person."""

from __future__ import annotations

import json

import pytest

from shared.domain.errors import BadRequest, NotFound
from shared.domain.messages import MEMBERS, ProcessUsers
from shared.domain.read_models import DeadLetter
from shared.handlers.messaging.dead_letters import replay
from shared.handlers.messaging.settlement import AWAY, dead_letter_message
from tests.support.builders import audited
from tests.support.runs import MIA, SMALL, TEAM, Run, user


async def test_a_replayed_message_is_done_and_off_the_list() -> None:
    run = Run()
    run.people(1)
    await run.change([SMALL])
    person = run.directory.add_user(user(50), groups=[TEAM])
    body = json.loads(ProcessUsers((person,), "event", bulk=False).encode())
    await dead_letter_message(run.world, MEMBERS, json.dumps({**body, AWAY: 10}).encode(), "given up")
    await dead_letter_message(run.world, MEMBERS, b"no json", "unreadable")
    broken, dead_letter = (await run.world.stores.dead_letters.page(10))[0]
    await replay(run.world, dead_letter.id, MIA)
    assert AWAY not in json.loads(run.fakes.sent()[0].body)
    assert [each.id for each in (await run.world.stores.dead_letters.page(10))[0]] == [broken.id]
    await run.work_off()
    assert run.licenses(person) == {"SMALL"}
    entries = await audited(run.world.stores, "202601")
    assert [each.initiator for each in entries if each.activity == "Replay message"] == [MIA]


async def test_what_is_not_there_or_not_whole_is_not_sent() -> None:
    run = Run()
    now = run.world.clock.now()
    await run.world.stores.dead_letters.keep(DeadLetter("a" * 32, MEMBERS, b"x" * 10_000_000, "too long", now))
    with pytest.raises(BadRequest, match="its sender must send it again"):
        await replay(run.world, "a" * 32, MIA)
    with pytest.raises(NotFound):
        await replay(run.world, "b" * 32, MIA)
    assert run.fakes.sent() == []
