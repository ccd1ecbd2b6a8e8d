"""The app indexed and invoked by Azure's own Python runtime (azure-functions-runtime, Python 3.13), tables in Azurite.

The runtime is driven in this process as its own proxy worker drives it; `_Protos` stands in for the protobuf classes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

runtime = pytest.importorskip("azure_functions_runtime", reason="azure-functions-runtime needs Python 3.13")

from azure_functions_runtime.bindings.datumdef import Datum  # noqa: E402
from azure_functions_runtime.native_invocation import invocation_request_native  # noqa: E402

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).resolve().parent.parent.parent
APP = Path(os.environ.get("APP_FOLDER", ROOT))
"""The app as it is here, or unpacked from the deployment package."""

AZURITE = ROOT / "local" / "node_modules" / ".bin" / "azurite-table"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
TENANT = "8da3075e-f5eb-5d83-bb90-9a271280a4fd"
OPERATION = "0123456789ab" + "0" * 20

EXPECTED = {
    "process_jobs": "serviceBusTrigger",
    "process_operations": "serviceBusTrigger",
    "process_operations_bulk": "serviceBusTrigger",
    "process_members": "serviceBusTrigger",
    "process_members_bulk": "serviceBusTrigger",
    "watchdog": "timerTrigger",
    "process_notifications": "serviceBusTrigger",
    "process_hr_events": "serviceBusTrigger",
    **dict.fromkeys(
        (
            "assign_freed_licenses",
            "renew_subscription",
            "query_deltas",
            "watch_errors",
            "start_first_contact",
            "continue_first_contact",
            "sync_all",
            "reconcile_due_users",
        ),
        "timerTrigger",
    ),
    "resume_due_events": "timerTrigger",
    "read_protected_people": "timerTrigger",
    "close_audit_hours": "timerTrigger",
    "graph_notifications": "httpTrigger",
    "graph_lifecycle": "httpTrigger",
    "health": "httpTrigger",
    "http": "httpTrigger",
}


class _Message(SimpleNamespace):
    """A protobuf message as far as the runtime uses one."""

    Success, Failure = "Success", "Failure"
    inout, out, undefined = 2, 1, None


class _Protos:
    def __getattr__(self, name: str) -> type[_Message]:
        return type(name, (_Message,), {})


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(AZURITE), "--tableHost", "127.0.0.1", "--tablePort", str(port), "--silent", "--inMemoryPersistence"]
    azurite = subprocess.Popen([*command, "--disableTelemetry"], cwd=tmp_path_factory.mktemp("azurite"))
    try:
        endpoint = f"http://127.0.0.1:{port}/devstoreaccount1"
        _wait_for(endpoint)
        yield f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={KEY};TableEndpoint={endpoint};"
    finally:
        azurite.terminate()
        azurite.wait(10)


def _wait_for(url: str) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(url)


@pytest.fixture(scope="module")
def settings(tables: str) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    bus = "Endpoint=sb://127.0.0.1:9;SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true"
    for name, value in {
        "TENANT_ID": TENANT,
        "ServiceBusConnection": bus,
        "TablesConnection": tables,
        "TABLE_PREFIX": "runtime",
        "WEBSITE_AUTH_ENABLED": "True",
        "API_AUDIENCE": "api://group-based-licensing",
    }.items():
        patch.setenv(name, value)
    yield
    patch.undo()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def functions(settings: None) -> AsyncIterator[dict[str, Any]]:
    runtime.start_threadpool_executor()
    request = SimpleNamespace(
        request=SimpleNamespace(worker_init_request=SimpleNamespace(capabilities={}, function_app_directory=str(APP))),
        properties={"host": "127.0.0.1", "protos": _Protos()},
    )
    started = await runtime.worker_init_request(request)
    assert started.result.status == "Success", vars(started.result)
    answer = await runtime.functions_metadata_request(None)
    yield {each.name: each for each in answer.function_metadata_results}
    runtime.stop_threadpool_executor()


def _kind(metadata: Any) -> str:
    bindings = [json.loads(each) for each in metadata.raw_bindings]
    return next(str(each["type"]) for each in bindings if "Trigger" in each["type"])


async def _invoke(metadata: Any, name: str, datum: Datum, trigger: dict[str, Datum] | None = None) -> Any:
    answer = await invocation_request_native("i-1", metadata.function_id, [(name, datum)], trigger or {})
    ok, result, _, fault, trace = answer
    assert ok, f"{fault}\n{trace}"
    return result


def _http(method: str, path: str, query: dict[str, str] | None = None) -> Datum:
    asked = {key: Datum(each, "string") for key, each in (query or {}).items()}
    text = {"method": method, "url": f"http://localhost{path}"}
    value = {key: Datum(each, "string") for key, each in text.items()}
    return Datum({**value, "headers": {}, "query": asked, "params": {}, "body": Datum(b"", "bytes")}, "http")


async def test_the_runtime_indexes_every_function_with_its_trigger(functions: dict[str, Any]) -> None:
    assert {name: _kind(each) for name, each in functions.items()} == EXPECTED


async def test_queue_functions_run_to_their_end_in_the_runtime(functions: dict[str, Any]) -> None:
    trigger = {
        "MessageId": Datum("m-1", "string"),
        "DeliveryCount": Datum("1", "json"),
        "UserProperties": Datum("{}", "json"),
    }
    step = json.dumps({"v": 1, "type": "operationStep", "operationId": OPERATION, "step": 0, "run": 0}).encode()
    users = json.dumps(
        {"v": 1, "userIds": [TENANT], "cause": "operation", "bulk": True, "operationId": OPERATION}
    ).encode()
    bodies = {
        "process_jobs": b"not JSON: ends as a dead letter",
        "process_operations": step,
        "process_members": users,
        "process_members_bulk": users,
        "process_notifications": b'{"v": 1, "type": "readDelta", "number": "not one": ends as a dead letter',
        "process_hr_events": b'{"specversion": "1.0", "type": "none of ours: ends as a dead letter"}',
    }
    for name, body in bodies.items():
        for enqueued in ("2026-11-23T22:07:20.4026614Z", "2026-11-23T22:07:20"):
            observed = {**trigger, "EnqueuedTimeUtc": Datum(json.dumps(enqueued), "json")}
            await _invoke(functions[name], "message", Datum(body, "bytes"), observed)


async def test_the_timer_runs_in_the_runtime(functions: dict[str, Any]) -> None:
    await _invoke(functions["watchdog"], "timer", Datum(json.dumps({"IsPastDue": False}), "json"))


async def test_a_native_http_function_answers_in_the_runtime(functions: dict[str, Any]) -> None:
    answer = await _invoke(functions["health"], "req", _http("GET", "/api/health"))
    assert answer.value["status_code"].value == "200"
    assert json.loads(answer.value["body"].value)["status"] == "ok"


async def test_the_webhook_answers_a_handshake_in_the_runtime(functions: dict[str, Any]) -> None:
    request = _http("POST", "/graph/notifications", query={"validationToken": "token"})
    answer = await _invoke(functions["graph_notifications"], "req", request)
    assert (answer.value["status_code"].value, answer.value["body"].value) == ("200", b"token")


async def test_the_web_application_answers_in_the_runtime_and_rejects_who_is_not_signed_in(
    functions: dict[str, Any],
) -> None:
    answer = await _invoke(functions["http"], "req", _http("GET", "/api/subscribedSkus"))
    assert answer.value["status_code"].value == "401"


async def test_the_code_that_runs_is_the_app_that_was_asked_for(functions: dict[str, Any]) -> None:
    for name in ("function_app", "functions", "shared"):
        assert Path(str(sys.modules[name].__file__)).is_relative_to(APP)
    if "APP_FOLDER" in os.environ:
        assert Path(str(sys.modules["azure.data.tables"].__file__)).is_relative_to(APP)
