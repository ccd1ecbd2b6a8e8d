"""The function app as the platform indexes it: names, bindings, size of triggers, and what importing it costs."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import typing
from pathlib import Path
from types import SimpleNamespace

import azure.functions as func
import pytest

import function_app
from functions import api, members, notifications, onboarding, operations, timers
from shared import bootstrap
from shared.domain import messages
from shared.domain.version import VERSION
from tests.support.triggers import FUNCTIONS, trigger

ROOT = Path(function_app.__file__).parent

QUEUES = {
    "process_jobs": messages.JOBS,
    "process_operations": messages.OPERATIONS,
    "process_operations_bulk": messages.OPERATIONS_BULK,
    "process_members": messages.MEMBERS,
    "process_members_bulk": messages.MEMBERS_BULK,
    "process_notifications": messages.NOTIFICATIONS,
    "process_hr_events": messages.ONBOARDING,
}

SETTINGS = {
    "TENANT_ID": "00000000-0000-0000-0000-000000000001",
    "ServiceBusConnection": "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=a;SharedAccessKey=b",
    "TablesConnection": "UseDevelopmentStorage=true",
}

TIMERS = {
    "watchdog",
    "assign_freed_licenses",
    "renew_subscription",
    "query_deltas",
    "sync_all",
    "reconcile_due_users",
    "resume_due_events",
}
TIMERS |= {"read_protected_people", "close_audit_hours", "watch_errors"}
TIMERS |= {"start_first_contact", "continue_first_contact"}
WEBHOOKS = {"graph_notifications": "graph/notifications", "graph_lifecycle": "graph/lifecycle"}


def test_the_names_of_the_functions_are_those_that_settings_and_alerts_know() -> None:
    assert set(FUNCTIONS) == {*QUEUES, *TIMERS, *WEBHOOKS, "health", "http"}


def test_each_queue_function_takes_one_message_at_a_time_from_its_declared_queue() -> None:
    declared = json.loads((ROOT / "infra" / "servicebus-config.json").read_text())
    queues = {queue["Name"] for queue in declared["UserConfig"]["Namespaces"][0]["Queues"]}
    assert set(QUEUES.values()) <= queues
    for name, queue in QUEUES.items():
        observed = trigger(name)
        assert observed["type"] == "serviceBusTrigger"
        assert (observed["queueName"], observed["connection"]) == (queue, "ServiceBusConnection")
        assert observed["cardinality"] is func.Cardinality.ONE


def test_health_is_a_route_of_its_own_and_everything_else_goes_through_one_door() -> None:
    assert trigger("health")["route"] == "api/health"
    door = trigger("http")
    assert door["route"] == "{*route}"
    assert {method.value for method in door["methods"]} == set(api.METHODS)
    assert {observed["authLevel"] for observed in (door, trigger("health"))} == {func.AuthLevel.ANONYMOUS}


def test_no_route_begins_with_a_word_the_host_keeps_for_itself() -> None:
    routes = [trigger(name)["route"] for name in FUNCTIONS if trigger(name)["type"] == "httpTrigger"]
    assert {*WEBHOOKS.values(), "api/health", "{*route}"} == set(routes)
    assert not [route for route in routes if route.startswith(("admin", "runtime"))]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_trigger_is_at_most_15_lines_and_async(name: str) -> None:
    function = FUNCTIONS[name].get_user_function()
    assert inspect.iscoroutinefunction(function)
    assert len(inspect.getsource(function).splitlines()) <= 15


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_trigger_s_types_can_be_read_at_run_time_as_the_worker_does(name: str) -> None:
    hints = typing.get_type_hints(FUNCTIONS[name].get_user_function())
    parameters = {kind for parameter, kind in hints.items() if parameter != "return"}
    assert parameters <= {func.ServiceBusMessage, func.TimerRequest, func.HttpRequest, func.Context}


def test_trigger_modules_hide_no_type_from_the_worker() -> None:
    for module in (api, members, notifications, onboarding, operations, timers, function_app):
        source = inspect.getsource(module)
        assert "TYPE_CHECKING" not in source
        assert "from __future__ import annotations" not in source


async def test_health_shows_only_a_status_and_the_version() -> None:
    function = FUNCTIONS["health"].get_user_function()
    answer = await function(func.HttpRequest(method="GET", url="/api/health", body=b""))
    assert (answer.status_code, json.loads(answer.get_body())) == (200, {"status": "ok", "version": VERSION})


@pytest.mark.parametrize("name", sorted(WEBHOOKS))
async def test_the_webhook_answers_the_handshake_with_the_decoded_token_as_plain_text(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in SETTINGS.items():
        monkeypatch.setenv(key, value)
    bootstrap.app.cache_clear()
    route = WEBHOOKS[name]
    request = func.HttpRequest(
        method="POST", url=f"/{route}", params={"validationToken": "Validation: a+b <1>"}, body=b""
    )
    answer = await FUNCTIONS[name].get_user_function()(request, SimpleNamespace(trace_context=None))
    assert (answer.status_code, answer.get_body()) == (200, b"Validation: a+b <1>")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    bootstrap.app.cache_clear()


def test_importing_the_app_wires_nothing_and_imports_neither_sdks_nor_the_web_framework() -> None:
    script = (
        "import sys, function_app\n"
        "from shared import bootstrap\n"
        "heavy = ('azure.servicebus', 'azure.data', 'azure.identity', 'aiohttp', 'httpx', 'msgraph', 'kiota_http',"
        " 'fastapi', 'pydantic', 'jinja2', 'opentelemetry', 'azure.monitor', 'functions.web')\n"
        "print([name for name in heavy if name in sys.modules], bootstrap.app.cache_info().currsize)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[] 0"


def test_telemetry_that_is_not_configured_is_not_imported_when_the_app_is_wired_either() -> None:
    script = (
        "import sys\n"
        "from shared import bootstrap\n"
        "from shared.config import Settings\n"
        f"bootstrap.compose(Settings.from_env({{**{SETTINGS!r}, **dict.fromkeys(sys.argv[1:], 'http://127.0.0.1:9')}}))\n"
        "print([name for name in ('opentelemetry.sdk', 'azure.monitor') if name in sys.modules])\n"
    )
    for configured, expected in (([], "[]"), (["OTEL_EXPORTER_OTLP_ENDPOINT"], "['opentelemetry.sdk']")):
        run = [sys.executable, "-c", script, *configured]
        done = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout.strip() == expected


async def test_a_wrong_setting_fails_one_invocation_with_a_message_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bootstrap.app.cache_clear()
    monkeypatch.setenv("CHUNK_SIZE", "many")
    with pytest.raises(Exception, match="CHUNK_SIZE must be a whole number"):
        await FUNCTIONS["watchdog"].get_user_function()(None)
    bootstrap.app.cache_clear()
