"""The page of failed messages: found by a form that is sent, replayed and deleted one by one or all."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

from shared.domain.ids import new_id
from shared.domain.messages import JOBS, MEMBERS
from shared.domain.read_models import DeadLetter
from tests.support.pages import READER, browser, licensed, send
from tests.support.runs import Run


async def with_dead_letters(count: int = 60) -> tuple[Run, list[DeadLetter]]:
    run, _ = await licensed()
    dead_letters = []
    for number in range(count):
        run.later(seconds=1)
        now = run.world.clock.now()
        queue = JOBS if number % 2 else MEMBERS
        dead_letters.append(DeadLetter(new_id(now, run.world.token()), queue, b"{}", f"reason <{number}>", now))
        await run.world.stores.dead_letters.keep(dead_letters[-1])
    run.later(seconds=1)
    return run, dead_letters


async def test_all_are_reached_by_pages_and_a_search_keeps_its_words_and_is_not_in_an_address() -> None:
    run, dead_letters = await with_dead_letters()
    async with browser(run) as page:
        first = (await page.get("/deadLetters")).text
        assert "60 messages could not be read or done" in first
        assert "reason &lt;59&gt;" in first
        assert "reason &lt;0&gt;" not in first
        token = first.split('name="after" value="')[1].split('"')[0]
        assert "reason &lt;0&gt;" in (await send(page, "/deadLetters", urlencode({"after": token}))).text
        found = (await send(page, "/deadLetters", urlencode({"text": "<7>", "queue": JOBS}))).text
        assert "reason &lt;7&gt;" in found
        assert "reason &lt;9&gt;" not in found
        assert 'name="text" value="&lt;7&gt;"' in found
        assert "text=" not in found.replace('type="text"', "")
        for wrong in ({"queue": "x"}, {"kind": "x"}, {"since": "yesterday"}, {"text": "x" * 121}):
            assert (await send(page, "/deadLetters", urlencode(wrong))).status_code == 400
    assert len(dead_letters) == 60


async def test_one_is_deleted_one_replayed_and_all_of_a_queue_with_progress() -> None:
    run, dead_letters = await with_dead_letters()
    async with browser(run) as page:
        assert (await send(page, f"/deadLetters/{dead_letters[0].id}/delete")).status_code == 303
        assert (await send(page, f"/deadLetters/{dead_letters[1].id}/replay")).status_code == 303
        assert [each.queue for each in run.fakes.queue.messages] == [JOBS]
        run.fakes.queue.messages.clear()
        assert (await send(page, "/deadLetters/bulk", urlencode({"act": "delete", "queue": JOBS}))).status_code == 303
        assert "Running" in (await page.get("/deadLetters")).text
        await run.work_off()
        shown = (await page.get("/deadLetters")).text
        assert "Complete" in shown
        assert '<td class="number" data-label="Done">29</td>' in shown
        assert (await send(page, "/deadLetters/bulk", urlencode({"act": "eat"}))).status_code == 400
    rest, _ = await run.world.stores.dead_letters.page(100)
    assert {each.queue for each in rest} == {MEMBERS}
    assert run.world.clock.now() - rest[0].at < timedelta(hours=1)


async def test_a_reader_can_do_none_of_it() -> None:
    run, dead_letters = await with_dead_letters(1)
    async with browser(run, READER) as page:
        assert (await page.get("/deadLetters")).status_code == 403
        for path in ("", "/bulk", f"/{dead_letters[0].id}/replay", f"/{dead_letters[0].id}/delete"):
            assert (await send(page, f"/deadLetters{path}", "act=delete")).status_code == 403
    assert await run.world.stores.dead_letters.count() == 1
