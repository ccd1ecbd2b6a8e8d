"""Spans and figures of work in one process, and that no log line or span names a person."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.adapters.graph import template_of
from shared.adapters.telemetry import OpenTelemetry, count_answers, give_log_its_context
from shared.bootstrap import App, SignIn, telemetry_of
from shared.config import Settings
from shared.domain import trace_context
from shared.domain.messages import MEMBERS, MEMBERS_BULK, ONBOARDING, STEPS
from shared.domain.write_results import Accepted, Throttled
from shared.ports.graph_writes import AlreadySo
from shared.ports.messaging import Outgoing
from shared.ports.telemetry import SILENT
from tests.support.hires import Hires, event
from tests.support.project import ROOT
from tests.support.runs import SMALL, TEAM, user

TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
SECRET = "Zaphod-Beeblebrox"
ENVIRONMENT = {
    "TENANT_ID": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "ServiceBusConnection": "Endpoint=sb://x/",
    "TablesConnection": "UseDevelopmentStorage",
}


class Watch:
    """Telemetry in memory."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.spans))
        self.reader = InMemoryMetricReader()
        meters = MeterProvider(metric_readers=[self.reader])
        self.telemetry = OpenTelemetry(provider.get_tracer("t"), meters.get_meter("t"))

    def figures(self) -> dict[str, list[dict[str, object]]]:
        found: dict[str, list[dict[str, object]]] = {}
        data = self.reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found[metric.name] = [dict(point.attributes or {}) for point in metric.data.data_points]
        return found


def test_a_span_of_work_goes_on_with_the_trace_it_is_given_and_gives_its_own_to_what_is_inside() -> None:
    watch = Watch()
    with watch.telemetry.work("queue members", TRACE, queue="members"):
        inside = trace_context.current.get()
        with watch.telemetry.call("Graph GET /users/{id}") as call:
            call.note(status=200)
            deeper = trace_context.current.get()
    assert trace_context.current.get() == ""
    assert inside[:36] == deeper[:36] == TRACE[:36]
    assert len({TRACE, inside, deeper}) == 3
    call_span, work_span = watch.spans.get_finished_spans()
    assert call_span.parent is not None
    assert work_span.parent is not None
    context = work_span.get_span_context()
    assert context is not None
    assert call_span.parent.span_id == context.span_id
    assert f"{work_span.parent.span_id:016x}" == "b" * 16
    assert dict(call_span.attributes or {}) == {"status": 200}


def test_work_without_a_trace_begins_one_and_a_fault_is_noted_and_goes_on() -> None:
    watch = Watch()
    with pytest.raises(ValueError, match="broken"), watch.telemetry.work("timer watchdog", ""):
        raise ValueError("broken")
    (span,) = watch.spans.get_finished_spans()
    assert span.parent is None
    assert not span.status.is_ok


def test_without_telemetry_the_trace_is_handed_on_all_the_same() -> None:
    with SILENT.work("x", TRACE), SILENT.call("y") as call:
        call.note(status=1)
        assert trace_context.current.get() == TRACE
    SILENT.count("c")
    SILENT.measure("m", 1.0)
    assert trace_context.current.get() == ""


def test_the_trace_of_a_message_is_found_under_either_name_and_nothing_else_is_believed() -> None:
    assert trace_context.of_message(f'{{"traceparent": "{TRACE}"}}'.encode()) == TRACE
    assert trace_context.of_message(f'{{"trace": "{TRACE}"}}'.encode()) == TRACE
    for body in (b"no json", b"[]", b'{"traceparent": 7}', b'{"traceparent": "x"}', b"{}"):
        assert trace_context.of_message(body) == ""


def test_paths_of_graph_are_named_without_ids_and_queries() -> None:
    assert template_of("/users/ann@fabrikam.example?$select=id") == "/users/{id}"
    assert template_of("/groups/7/members/8/$ref") == "/groups/{id}/members/{id}/$ref"
    assert template_of("/$batch") == "/$batch"


def test_answers_of_writes_are_counted_by_what_they_are() -> None:
    watch = Watch()
    count_answers(watch.telemetry, "membership", [Accepted(), Accepted(), AlreadySo(), Throttled(1.0)])
    kinds = {(each["kind"], each["result"]) for each in watch.figures()["licensing.writes"]}
    assert kinds == {("membership", "Accepted"), ("membership", "AlreadySo"), ("membership", "Throttled")}


class Hierarchy(Hires):
    """A run whose messages go through the app's doors."""

    def watch(self, watch: Watch) -> None:
        self.world = replace(self.fakes.world, telemetry=watch.telemetry)
        self.doors = App(self.world, SignIn(True, "tenant"))

    async def deliver(self, message: Outgoing) -> None:
        now = self.world.clock.now()
        if message.queue in (MEMBERS, MEMBERS_BULK):
            await self.doors.process_members(message.queue, message.body, now)
        elif message.queue in STEPS:
            await self.doors.process_operations(message.queue, message.body, now)
        elif message.queue == ONBOARDING:
            await self.doors.process_hr_events(message.body, now)


async def test_a_time_of_the_queue_without_a_zone_is_utc_and_stops_no_message() -> None:
    run, watch = Hierarchy(), Watch()
    run.watch(watch)
    for at in (run.world.clock.now(), run.world.clock.now().replace(tzinfo=None), None):
        await run.doors.process_jobs(b"not JSON", at)
    assert len((await run.world.stores.dead_letters.page(10))[0]) == 3
    assert [each["queue"] for each in watch.figures()["licensing.queue.age"]] == ["jobs"]


async def test_a_whole_operation_and_an_hr_event_leave_no_name_in_logs_and_spans(
    caplog: pytest.LogCaptureFixture,
) -> None:
    give_log_its_context()
    caplog.set_level(logging.INFO)
    run, watch = Hierarchy(), Watch()
    run.watch(watch)
    for number in range(1, 6):
        person = run.directory.add_user(user(number), groups=[TEAM])
        known = run.directory.truth(person)
        named = replace(known, display_name=SECRET, user_principal_name=f"{SECRET}{number}@fabrikam.example")
        run.directory.change_user(named)
    run.directory.fail_read(user(2), times=2)
    await run.change([SMALL])
    upn = f"{SECRET}1@fabrikam.example"
    await run.notify(event("joiner", "1", {"userPrincipalName": upn}, groups=[TEAM]))
    await run.notify(event("joiner", "2", {"userPrincipalName": f"{SECRET} broken"}, groups=[SECRET]))
    assert run.licenses(user(1)) == {"SMALL"}
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    assert said
    assert not [line for line in said if SECRET in line or "fabrikam.example" in line]
    spans = watch.spans.get_finished_spans()
    assert {"queue operations", "queue members", "queue onboarding"} <= {span.name for span in spans}
    observed = [f"{span.name} {dict(span.attributes or {})}" for span in spans]
    assert not [line for line in observed if SECRET in line]
    figures = watch.figures()
    assert {"licensing.members", "licensing.queue.age", "licensing.budget.in_use"} <= figures.keys()
    assert {each["outcome"] for each in figures["licensing.members"]} >= {"Applied", "RetryAt"}


@pytest.mark.parametrize(
    ("asked_by", "shown"),
    [
        ("6f2b1c9e-0000-4000-8000-00000000000a", " correlation=6f2b1c9e-0000-4000-8000-00000000000a"),
        (SECRET, ""),
        (f"{SECRET}@fabrikam.example", ""),
        ("", ""),
    ],
)
def test_every_line_of_the_app_ends_with_the_ids_of_the_work_it_comes_from(
    caplog: pytest.LogCaptureFixture, asked_by: str, shown: str
) -> None:
    give_log_its_context()
    give_log_its_context()
    tokens = trace_context.operation.set("op-1"), trace_context.correlation.set(asked_by)
    try:
        with SILENT.work("x", TRACE):
            logging.getLogger("shared.test").warning("said %d", 7)
            logging.getLogger("azure.core").warning("theirs")
    finally:
        trace_context.operation.reset(tokens[0])
        trace_context.correlation.reset(tokens[1])
    logging.getLogger("shared.test").warning("outside")
    managed, theirs, outside = [record.getMessage() for record in caplog.records[-3:]]
    assert managed == f"said 7 [trace={'a' * 32} operation=op-1{shown}]"
    assert (theirs, outside) == ("theirs", "outside")


def test_a_trace_begins_in_the_platform_s_span_else_in_the_caller_s_and_is_always_kept() -> None:
    unsampled = SimpleNamespace(trace_parent=f"{TRACE[:-2]}00")
    of_caller = TRACE.replace("a", "c")
    assert trace_context.within(unsampled, of_caller) == TRACE
    for nothing in (None, SimpleNamespace(trace_parent=None), SimpleNamespace(trace_parent="x")):
        assert trace_context.within(nothing, of_caller) == of_caller
        assert trace_context.within(nothing, "none") == ""


RECEIVES = """
import gzip, json, sys, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer

received = []

class Ingestion(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        lines = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
        read = [json.loads(line) for line in lines.splitlines() if line.strip()]
        items = [item for each in read for item in (each if isinstance(each, list) else [each])]
        received.extend(items)
        answer = json.dumps({"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Ingestion)
threading.Thread(target=server.serve_forever, daemon=True).start()
from shared.adapters.telemetry import to_azure
key = "00000000-0000-0000-0000-000000000001"
telemetry = to_azure(f"InstrumentationKey={key};IngestionEndpoint=http://127.0.0.1:{server.server_port}/", None)
with telemetry.work("queue members", ""), telemetry.call("Graph POST /$batch"):
    telemetry.count("licensing.members", 2, outcome="Applied")
until = time.monotonic() + 30
wanted = {"RequestData", "RemoteDependencyData", "MetricData"}
while time.monotonic() < until and not wanted <= {each["data"]["baseType"] for each in received}:
    time.sleep(0.1)
named = {each["data"]["baseData"].get("name") or each["data"]["baseData"]["metrics"][0]["name"] for each in received}
print(json.dumps({
    "named": sorted(named),
    "roles": sorted({each["tags"]["ai.cloud.role"] for each in received}),
}))
sys.stdout.flush()
import os
os._exit(0)
"""


def test_spans_and_figures_reach_application_insights() -> None:
    soon = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "200"}
    alone = {"APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true", "OTEL_TRACES_SAMPLER": "always_on"}
    run = subprocess.run(
        [sys.executable, "-c", RECEIVES], cwd=ROOT, env={**os.environ, **soon, **alone}, capture_output=True, timeout=90
    )
    observed = json.loads(run.stdout)
    assert observed["named"] == ["Graph POST /$batch", "licensing.members", "queue members"]
    assert observed["roles"] == ["group-based-licensing"]


@pytest.mark.parametrize("library", ["httpx", "azure.core.pipeline.policies.http_logging_policy"])
def test_libraries_do_not_log_the_addresses_of_calls(library: str, caplog: pytest.LogCaptureFixture) -> None:
    """The platform's worker logs from INFO on. Addresses of Graph have searched names, those of tables have keys."""
    names = ("azure", "httpx")
    before = {name: logging.getLogger(name).level for name in names}
    try:
        with caplog.at_level(logging.INFO):
            telemetry_of(Settings.from_env(ENVIRONMENT))
            logging.getLogger(library).info("Request: GET /users?$search=%s", SECRET)
            logging.getLogger(library).warning("lost")
            if library == "httpx":
                answer = httpx.MockTransport(lambda _: httpx.Response(200))
                with httpx.Client(transport=answer, base_url="https://graph.example") as client:
                    client.get("/users", params={"$search": SECRET})
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
    assert (SECRET in caplog.text, "lost" in caplog.text) == (False, True)
