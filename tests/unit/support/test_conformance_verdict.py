"""A run of the SDK's own tests is right only where it is as known: nothing else fails, nothing passes less or more."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conformance.verdict import Known, outcomes, passes, wrongs

QUEUES, ASYNCIO = "test_queues.py", "async_tests/test_queues_async.py"
FILES = (QUEUES, ASYNCIO)
LISTED = f"{QUEUES}::TestQueue::test_over_websocket[pyamqp]"
KNOWN = Known({QUEUES: 2, ASYNCIO: 1}, {LISTED: "no WebSockets"})
AS_KNOWN = {
    f"{QUEUES}::TestQueue::test_sends[pyamqp]": "passed",
    f"{QUEUES}::TestQueue::test_receives[pyamqp]": "passed",
    f"{QUEUES}::TestQueue::test_hard": "skipped",
    LISTED: "failed",
    f"{ASYNCIO}::TestAsyncQueue::test_sends": "passed",
}
REPORT = """<testsuites><testsuite>
<testcase classname="test_queues.TestQueue" name="test_sends[pyamqp]" time="1"/>
<testcase classname="test_queues.TestQueue" name="test_over_websocket[pyamqp]"><failure message="no"/></testcase>
<testcase classname="test_queues.TestQueue" name="test_hard"><skipped message="hard"/></testcase>
<testcase classname="async_tests.test_queues_async.TestAsyncQueue" name="test_sends"><error/></testcase>
</testsuite></testsuites>"""


def wrong(changes: dict[str, str], *, without: str = "", partial: bool = False) -> list[str]:
    outcome = {name: what for name, what in {**AS_KNOWN, **changes}.items() if name != without}
    return wrongs(outcome, KNOWN, files=FILES, partial=partial)


def test_a_report_gives_node_ids_and_what_became_of_them() -> None:
    assert outcomes(REPORT) == {
        f"{QUEUES}::TestQueue::test_sends[pyamqp]": "passed",
        LISTED: "failed",
        f"{QUEUES}::TestQueue::test_hard": "skipped",
        f"{ASYNCIO}::TestAsyncQueue::test_sends": "failed",
    }


def test_a_run_as_known_is_right() -> None:
    assert wrong({}) == []
    assert passes(AS_KNOWN, QUEUES) == 2


def test_a_failure_that_is_not_listed_is_wrong_and_so_is_the_count() -> None:
    name = f"{ASYNCIO}::TestAsyncQueue::test_sends"
    assert wrong({name: "failed"}) == [f"{ASYNCIO}: only 0 passed, 1 did before", f"fails: {name}"]


def test_fewer_passes_are_wrong_though_nothing_fails() -> None:
    name = f"{QUEUES}::TestQueue::test_receives[pyamqp]"
    for outcome in (wrong({name: "skipped"}), wrong({}, without=name)):
        assert outcome == [f"{QUEUES}: only 1 passed, 2 did before"]


def test_more_passes_are_right() -> None:
    assert wrong({f"{QUEUES}::TestQueue::test_new": "passed"}) == []


def test_a_listed_test_that_passes_or_is_gone_is_wrong() -> None:
    assert wrong({LISTED: "passed"}) == [f"passes now, take it off the list: {LISTED}"]
    assert wrong({}, without=LISTED) == [f"is on the list, but was not run: {LISTED}"]


def test_of_some_chosen_tests_only_what_they_came_to_is_asked() -> None:
    assert wrong({}, without=f"{QUEUES}::TestQueue::test_receives[pyamqp]", partial=True) == []
    assert wrong({}, without=LISTED, partial=True) == []
    assert wrong({LISTED: "passed"}, partial=True) == [f"passes now, take it off the list: {LISTED}"]
    name = f"{QUEUES}::TestQueue::test_sends[pyamqp]"
    assert wrong({name: "failed"}, partial=True) == [f"fails: {name}"]


def test_one_file_alone_is_held_to_its_own_list() -> None:
    only = {name: what for name, what in AS_KNOWN.items() if name.startswith(ASYNCIO)}
    assert wrongs(only, KNOWN, files=(ASYNCIO,), partial=False) == []


def test_the_list_names_tests_by_file_and_each_has_a_reason() -> None:
    known = Known(**json.loads((Path(__file__).parents[2] / "conformance" / "known.json").read_text()))
    assert set(known.passes) == set(FILES)
    assert all(least > 0 for least in known.passes.values())
    for name, reason in known.failures.items():
        assert name.split("::")[0] in FILES
        assert len(reason) > 20
