"""Every trigger, what fires it, and the handler that it leads to: a literal table, checked against the app.

Each trigger is fired once on the world in memory, and the handlers that the composition root calls are recorded. Read
the table to find where the work of a queue, an address or a timer begins.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure.functions as func
import pytest

import function_app
from functions import api
from functions.web import application
from shared import bootstrap
from shared.bootstrap import App, SignIn
from shared.handlers.messaging.settlement import settle
from shared.handlers.reconcile.write_limiter import writing
from tests.support.triggers import FUNCTIONS, trigger
from tests.support.worlds import fake_world
from tests.trace.tracer import Tracer

TRIGGERS = (
    # function, queue, address or schedule, package, entry functions
    ("process_jobs", "queue jobs", "shared.handlers.operations", "jobs_queue.process_jobs"),
    ("process_operations", "queue operations", "shared.handlers.operations", "operations_queue.process_operations"),
    (
        "process_operations_bulk",
        "queue operations-bulk",
        "shared.handlers.operations",
        "operations_queue.process_operations",
    ),
    ("process_members", "queue members", "shared.handlers.operations", "members_queue.Members.process"),
    ("process_members_bulk", "queue members-bulk", "shared.handlers.operations", "members_queue.Members.process"),
    (
        "process_notifications",
        "queue notifications",
        "shared.handlers.membership",
        "notifications_queue.process_notifications",
    ),
    ("process_hr_events", "queue onboarding", "shared.handlers.onboarding", "onboarding_queue.Onboarding.take"),
    ("graph_notifications", "POST graph/notifications", "shared.handlers.membership", "webhook.receive"),
    ("graph_lifecycle", "POST graph/lifecycle", "shared.handlers.membership", "webhook.receive"),
    ("renew_subscription", "timer 0 */10 * * * *", "shared.handlers.membership", "subscription.renew_subscription"),
    ("query_deltas", "timer 15 */5 * * * *", "shared.handlers.membership", "delta.query_deltas"),
    ("sync_all", "timer 0 0 2 * * *", "shared.handlers.membership", "nightly_sync.sync_all"),
    ("sync_all", "timer 0 0 2 * * *", "shared.handlers.maintenance", "retention.forget_old"),
    ("sync_all", "timer 0 0 2 * * *", "shared.handlers.membership", "watching.watch_all"),
    ("sync_all", "timer 0 0 2 * * *", "shared.handlers.membership", "canary.change_canary"),
    ("watch_errors", "timer 50 25 * * * *", "shared.handlers.membership", "watching.watch_errors"),
    ("start_first_contact", "timer 0 30 3 * * *", "shared.handlers.operations", "first_contact.start_daily"),
    ("continue_first_contact", "timer 5 * * * * *", "shared.handlers.operations", "first_contact.continue_runs"),
    (
        "read_protected_people",
        "timer 10 */10 * * * *",
        "shared.handlers.maintenance",
        "protected_people.read_protected_people",
    ),
    ("reconcile_due_users", "timer 45 * * * * *", "shared.handlers.reconcile", "grant_expiry.reconcile_due_users"),
    ("reconcile_due_users", "timer 45 * * * * *", "shared.handlers.groups", "status.publish_counts"),
    ("reconcile_due_users", "timer 45 * * * * *", "shared.handlers.maintenance", "open_items.count_open_items"),
    ("resume_due_events", "timer 20 * * * * *", "shared.handlers.onboarding", "onboarding_queue.resume_due_events"),
    ("resume_due_events", "timer 20 * * * * *", "shared.handlers.groups", "status.publish_counts"),
    ("resume_due_events", "timer 20 * * * * *", "shared.handlers.maintenance", "open_items.count_open_items"),
    ("close_audit_hours", "timer 40 */10 * * * *", "shared.handlers.maintenance", "audit_hours.close_hours"),
    ("assign_freed_licenses", "timer 30 * * * * *", "shared.handlers.reconcile", "seats.assign_freed_licenses"),
    ("watchdog", "timer 0 */5 * * * *", "shared.handlers.operations", "writing.follow_setting"),
    ("watchdog", "timer 0 */5 * * * *", "shared.handlers.operations", "watchdog.watchdog"),
    ("watchdog", "timer 0 */5 * * * *", "shared.handlers.messaging", "dead_letters.drain"),
    ("watchdog", "timer 0 */5 * * * *", "shared.handlers.onboarding", "profiles.drop_expired"),
    ("watchdog", "timer 0 */5 * * * *", "shared.handlers.messaging", "bulk_dead_letters.continue_stopped"),
    ("watchdog", "timer 0 */5 * * * *", "shared.handlers.maintenance", "alerts.check_alerts"),
    ("watchdog", "timer 0 */5 * * * *", "shared.handlers.views", "first_day.note_complete"),
    ("health", "GET api/health", "", ""),
    ("http", "any {*route}", "functions.web", "application.build"),
)

GATES = (settle.__module__, writing.__module__)
"""What every message passes, and what most timers do."""

HANDLERS = ("shared.handlers.", application.__name__)
"""Where entry functions are; the web application is imported above, so that its import is not part of a trace."""


def fired_by(name: str) -> str:
    """What fires a function, as the table writes it."""
    observed = trigger(name)
    if observed["type"] == "serviceBusTrigger":
        return f"queue {observed['queueName']}"
    if observed["type"] == "timerTrigger":
        return f"timer {observed['schedule']}"
    methods = [str(method.value) for method in observed["methods"]]
    return f"{methods[0] if len(methods) == 1 else 'any'} {observed['route']}"


async def fire(name: str) -> None:
    """Call the function with what its trigger hands it; the body is no message that any queue takes."""
    function = FUNCTIONS[name].get_user_function()
    given: dict[str, Any] = {
        "message": SimpleNamespace(get_body=lambda: b"no message", enqueued_time_utc=None),
        "timer": SimpleNamespace(),
        "req": func.HttpRequest(method="POST", url="/api/nothing", body=b"{}"),
        "context": SimpleNamespace(trace_context=None),
    }
    await function(**{parameter: given[parameter] for parameter in inspect.signature(function).parameters})


@pytest.mark.parametrize("name", FUNCTIONS)
async def test_a_trigger_leads_to_the_handlers_of_the_table(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = fake_world().world
    app = App(world, SignIn(platform_authentication=True, tenant_id="", audiences=frozenset()))
    monkeypatch.setattr(bootstrap, "app", lambda: app)
    api.web.cache_clear()
    with Tracer(lambda module: module.partition(".")[0] in ("functions", "shared")) as tracer:
        await fire(name)
    api.web.cache_clear()
    callers = {FUNCTIONS[name].get_user_function().__module__, "shared.bootstrap", settle.__module__}
    entries: dict[str, str] = {}
    for step in tracer.trace.steps:
        if step.caller in callers and step.module.startswith(HANDLERS) and step.module not in GATES:
            entries.setdefault(step.module, f"{step.module}.{step.function}")
    expected = [f"{package}.{entry}" for function, _, package, entry in TRIGGERS if function == name and package]
    assert list(entries.values()) == expected


def test_the_table_names_every_function_and_what_fires_it() -> None:
    assert {(name, fired) for name, fired, _, _ in TRIGGERS} == {(name, fired_by(name)) for name in FUNCTIONS}


ROW = re.compile(r"^\| `(\w+)` \|.*\| (\w+) `([^`]+)` \| `?([\w/]+)`? \| (.+) \|$", re.MULTILINE)
LINK = re.compile(r"\[(\w+)\]\([^)]*\)`([.\w]+)`")


def test_the_architecture_document_has_the_same_table() -> None:
    text = (Path(function_app.__file__).parent / "docs" / "architecture.md").read_text()
    found = [
        (name, f"{kind} {what}", package, LINK.sub(r"\1\2", entry))
        for name, kind, what, package, entry in ROW.findall(text)
    ]
    expected = [
        (name, fired, package.replace(".", "/") or "none", entry or "answers itself")
        for name, fired, package, entry in TRIGGERS
    ]
    assert found == expected
