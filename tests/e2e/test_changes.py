"""Changes of membership on the whole stack: notifications, delta and sync, each alone and with what can go wrong.

Two processes of each function; the oracle decides who must have what.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.collector import Collector, Seen, collecting
from tests.support.stack_journeys import PATIENCE_S, Journey, eventually, journey

REMEMBERED_S = 6.0
"""Workers remember assignments for five seconds; a minute lies between the two reads of a removal unless it is set."""

TIMERS = ("renew_subscription", "query_deltas")


COLLECTORS: list[Collector] = []
"""The collector of the module's stack."""


def _said_to(collector: Collector) -> dict[str, str]:
    soon = {"OTEL_BSP_SCHEDULE_DELAY": "500", "OTEL_METRIC_EXPORT_INTERVAL": "2000"}
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, **soon}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """A licensed group that is subscribed to."""
    with (
        collecting() as collector,
        journey(tmp_path_factory.mktemp("changes"), members=120, settings=_said_to(collector)) as started,
    ):
        COLLECTORS[:] = [collector]
        for timer in TIMERS:
            started.fire(timer)
        started.finish(started.change(started.main, {"SPE_E3": []}, []))
        started.believe(started.main, {"SPE_E3": []}, [])
        for timer in TIMERS:
            started.fire(timer)
        yield started


Pairs = list[tuple[str, str]]


def change(run: Journey, add: Pairs | None = None, remove: Pairs | None = None) -> None:
    run.client.tenant("POST", "/membership", {"add": add or [], "remove": remove or []})


def outsiders(run: Journey, count: int) -> list[str]:
    """New users in no group, whom the oracle has seen."""
    placed = run.client.tenant("POST", "/objects", {"users": [{"usageLocation": "CH"}] * count})
    run.oracle.meet(run.directory())
    found: list[str] = placed["users"]
    return found


def skus_of(run: Journey, user: str) -> set[str]:
    for found in run.directory()["users"]:
        if found["id"] == user:
            rows = found["licenseAssignmentStates"]
            return {row["skuId"] for row in rows if not row["assignedByGroup"] and row["state"] == "Active"}
    return set()


def until_licensed(run: Journey, user: str, licensed: bool = True) -> None:
    sku = run.skus["SPE_E3"]
    eventually(lambda: (sku in skus_of(run, user)) is licensed, bool)


def subscriptions(run: Journey) -> list[dict[str, Any]]:
    found: Any = run.client.tenant("GET", "/subscriptions")
    return list(found)


def deliveries(run: Journey, **faults: Any) -> None:
    run.client.tenant("PATCH", "/notifications", faults)


def test_one_subscription_is_kept_however_often_the_timer_runs(run: Journey) -> None:
    run.fire("renew_subscription")
    assert len(subscriptions(run)) == 1


def test_who_joins_a_nested_group_is_licensed_and_who_leaves_is_not_any_more(run: Journey) -> None:
    (user,) = outsiders(run, 1)
    change(run, add=[(run.groups["main-c"], user)])
    until_licensed(run, user)
    change(run, remove=[(run.groups["main-c"], user)])
    until_licensed(run, user, licensed=False)
    run.must_be_right()


def test_one_trace_leads_from_the_notification_through_the_queues_to_the_write_at_graph(run: Journey) -> None:
    (user,) = outsiders(run, 1)
    change(run, add=[(run.main, user)])
    until_licensed(run, user)
    (collector,) = COLLECTORS
    steps = {"Graph notification", "queue notifications", "queue members", "Graph POST /$batch"}

    def whole() -> list[list[Seen]]:
        return [spans for spans in collector.traces().values() if steps <= {span.name for span in spans}]

    spans = eventually(whole, bool)[0]
    by_id = {span.span_id: span for span in spans}
    (root,) = [span for span in spans if span.name == "Graph notification"]
    for span in spans:
        above = span
        while above.parent_id in by_id:
            above = by_id[above.parent_id]
        assert above == root, span
    started = {"HTTP request", "queue operations", "queue members-bulk"}
    assert any(started <= {span.name for span in each} for each in collector.traces().values())
    wanted = {"licensing.members", "licensing.writes", "licensing.queue.age", "licensing.budget.in_use"}
    eventually(lambda: wanted | {"licensing.change_to_license"} <= collector.metrics, bool)


def test_a_group_that_is_nested_brings_its_people_and_takes_them_along(run: Journey) -> None:
    people = outsiders(run, 3)
    placed = run.client.tenant("POST", "/objects", {"groups": [{"displayName": "late", "members": people}]})
    late = placed["groups"][0]
    change(run, add=[(run.groups["main-b"], late)])
    for user in people:
        until_licensed(run, user)
    (another,) = outsiders(run, 1)
    change(run, add=[(late, another)])
    until_licensed(run, another)
    change(run, remove=[(run.groups["main-b"], late)])
    for user in (*people, another):
        until_licensed(run, user, licensed=False)
    run.must_be_right()


def test_doubled_reordered_and_forged_notifications_change_nothing_but_what_is_true(run: Journey) -> None:
    users = outsiders(run, 6)
    deliveries(run, duplicate=0.5, reorder=0.5, forge=0.5, seed=3)
    change(run, add=[(run.main, user) for user in users])
    for user in users:
        until_licensed(run, user)
    change(run, remove=[(run.main, user) for user in users[:3]])
    for user in users[:3]:
        until_licensed(run, user, licensed=False)
    deliveries(run, duplicate=0, reorder=0, forge=0)
    run.must_be_right()


def test_what_no_notification_told_is_found_by_delta(run: Journey) -> None:
    joins, leaves = outsiders(run, 2)
    change(run, add=[(run.main, leaves)])
    until_licensed(run, leaves)
    run.fire("query_deltas")
    run.until_quiet()
    deliveries(run, drop=1)
    change(run, add=[(run.main, joins)], remove=[(run.main, leaves)])
    time.sleep(2)
    assert skus_of(run, joins) == set()
    run.fire("query_deltas")
    until_licensed(run, joins)
    until_licensed(run, leaves, licensed=False)
    run.must_be_right()


def test_what_neither_told_is_found_at_night(run: Journey) -> None:
    joins, lost = outsiders(run, 2)
    change(run, add=[(run.main, lost)])
    run.fire("query_deltas")
    until_licensed(run, lost)
    run.until_quiet()
    run.client.tenant("POST", "/delta/expire")
    change(run, add=[(run.main, joins)])
    run.fire("sync_all")
    until_licensed(run, joins)
    deliveries(run, drop=0)
    run.must_be_right()


def test_a_subscription_that_vanished_is_made_again_and_notifies(run: Journey) -> None:
    run.client.tenant("POST", "/subscriptions/expire", {})
    run.fire("renew_subscription")
    (user,) = outsiders(run, 1)
    change(run, add=[(run.main, user)])
    until_licensed(run, user)
    run.must_be_right()


def test_a_mover_between_groups_that_give_the_same_never_loses_it(run: Journey) -> None:
    (mover,) = outsiders(run, 1)
    change(run, add=[(run.groups["main-b"], mover)])
    until_licensed(run, mover)
    run.writes()
    change(run, remove=[(run.groups["main-b"], mover)])
    change(run, add=[(run.groups["main-c"], mover)])
    run.until_quiet()
    assert skus_of(run, mover) == {run.skus["SPE_E3"]}
    assert not [each for each in run.writes() if each["userId"] == mover and each["operation"] == "assignLicense"]


def test_lifecycle_events_are_answered_and_what_was_missed_is_read(run: Journey) -> None:
    (joins,) = outsiders(run, 1)
    deliveries(run, drop=1)
    change(run, add=[(run.main, joins)])
    time.sleep(3)
    deliveries(run, drop=0)
    assert skus_of(run, joins) == set()
    run.client.tenant("POST", "/lifecycle", {"event": "missed"})
    until_licensed(run, joins)
    run.client.tenant("POST", "/lifecycle", {"event": "reauthorizationRequired"})
    eventually(lambda: subscriptions(run), lambda found: [each["authorized"] for each in found] == [True])
    run.client.tenant("POST", "/lifecycle", {"event": "subscriptionRemoved"})
    run.until_quiet()
    assert len(subscriptions(run)) == 1
    run.must_be_right()


def test_a_leaver_in_grace_is_shown_with_the_time_and_goes_now_when_a_person_says_so(run: Journey) -> None:
    path, licenses = f"/api/groups/{run.main}/licenseAssignment", "/api/users/{}/licenses"
    run.client.api("PATCH", path, {"grace": "P30D"})
    time.sleep(REMEMBERED_S)
    leaves, stays = outsiders(run, 2)
    change(run, add=[(run.main, leaves), (run.main, stays)])
    for user in (leaves, stays):
        until_licensed(run, user)
    change(run, remove=[(run.main, leaves), (run.main, stays)])
    for user in (leaves, stays):
        (shown,) = eventually(
            lambda user=user: run.client.api("GET", licenses.format(user))["value"],  # type: ignore[misc]
            lambda found: bool(found) and found[0]["keptReason"] == "grace",
        )
        assert shown["removalDateTime"] is not None
    run.start(f"/api/users/{stays}/keepLicenses", {"skuIds": [run.skus["SPE_E3"]]})
    run.decide(f"/api/users/{leaves}/removeLicensesNow", {"skuIds": [run.skus["SPE_E3"]]})
    until_licensed(run, leaves, licensed=False)
    (kept,) = run.client.api("GET", licenses.format(stays))["value"]
    assert (kept["keptReason"], kept["removalDateTime"]) == ("kept", None)
    run.decide(f"/api/users/{stays}/removeLicensesNow", {"skuIds": [run.skus["SPE_E3"]]})
    until_licensed(run, stays, licensed=False)
    run.client.api("PATCH", path, {"grace": "PT0S"})
    run.must_be_right()


def until_in_grace(run: Journey, user: str) -> None:
    licenses = f"/api/users/{user}/licenses"
    eventually(
        lambda: run.client.api("GET", licenses)["value"],
        lambda found: bool(found) and found[0]["keptReason"] == "grace",
    )


def test_a_successor_that_graph_rejects_beside_a_license_in_grace_ends_that_grace_in_the_same_call(
    run: Journey,
) -> None:
    """A successor that can stay beside it ends nothing."""
    stays, swaps = outsiders(run, 2)
    placed = run.client.tenant("POST", "/objects", {"groups": [{"displayName": name} for name in ("E5", "F3")]})
    larger, frontline = placed["groups"]
    for group, sku in ((larger, "SPE_E5"), (frontline, "SPE_F1")):
        run.finish(run.change(group, {sku: []}, []))
        run.believe(group, {sku: []}, [])
    path = f"/api/groups/{run.main}/licenseAssignment"
    run.client.api("PATCH", path, {"grace": "P30D"})
    time.sleep(REMEMBERED_S)
    change(run, add=[(run.main, stays), (run.main, swaps)])
    for user in (stays, swaps):
        until_licensed(run, user)
    change(run, remove=[(run.main, stays), (run.main, swaps)])
    for user in (stays, swaps):
        until_in_grace(run, user)
    run.writes()
    change(run, add=[(larger, stays), (frontline, swaps)])
    eventually(lambda: skus_of(run, stays), lambda skus: skus == {run.skus["SPE_E3"], run.skus["SPE_E5"]})
    eventually(lambda: skus_of(run, swaps), lambda skus: skus == {run.skus["SPE_F1"]})
    written = [each for each in run.writes() if each["userId"] == swaps and each["operation"] == "assignLicense"]
    assert set(written[-1]["before"]) == {run.skus["SPE_E3"]}
    assert set(written[-1]["after"]) == {run.skus["SPE_F1"]}
    run.client.api("PATCH", path, {"grace": "PT0S"})
    # Grace that was given lasts: the license that stays is not due for 30 days.
    change(run, add=[(run.main, stays)])
    run.must_be_right()


def test_a_managed_group_that_is_deleted_takes_nothing_away_and_goes_on_when_it_is_restored(run: Journey) -> None:
    (member,) = outsiders(run, 1)
    placed = run.client.tenant("POST", "/objects", {"groups": [{"displayName": "short-lived", "members": [member]}]})
    group = placed["groups"][0]
    run.finish(run.change(group, {"SPE_E3": []}, []))
    run.believe(group, {"SPE_E3": []}, [])
    until_licensed(run, member)
    run.client.tenant("DELETE", f"/groups/{group}")
    run.until_quiet()
    time.sleep(3)
    assert skus_of(run, member) == {run.skus["SPE_E3"]}
    run.client.tenant("POST", f"/groups/{group}/restore")
    (joins,) = outsiders(run, 1)
    change(run, add=[(group, joins)])
    until_licensed(run, joins)
    run.must_be_right()


@pytest.mark.parametrize("body", [b"{}", b'{"value": [{"clientState": "guess", "subscriptionId": "x"}]}', b"no json"])
def test_what_is_posted_by_others_is_answered_and_does_nothing(run: Journey, body: bytes) -> None:
    before = run.queues()["notifications"]
    request = urllib.request.Request(f"{run.stack.endpoints.api}/graph/notifications", body, method="POST")
    request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            status = answer.status
    except urllib.error.HTTPError as rejection:
        status = rejection.code
    assert status in (202, 400)
    assert run.queues()["notifications"]["active"] <= before["active"]
    assert json.dumps(run.dead_letters(), default=str).count("guess") == 0
