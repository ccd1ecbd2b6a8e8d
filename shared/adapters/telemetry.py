"""Telemetry by OpenTelemetry: to Application Insights if its connection string is set, to an OTLP endpoint if one is
named. Everything is imported only if it is configured, so that other processes do not load it.

It sends the app's own spans and figures only. No library is instrumented, so no address, query or header of a request
appears in a span.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from shared.domain import trace_context
from shared.domain.ids import UserId
from shared.domain.write_results import LicenseCall, WriteResult
from shared.ports.graph_writes import AlreadySo, LicenseWriter, MembershipChange, Memberships
from shared.ports.telemetry import Attribute, Span, Telemetry

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from opentelemetry.metrics import Meter
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

NAME = "group-based-licensing"
OWN_PACKAGES = ("shared", "functions")
"""Packages of the app, by which its loggers are named."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line and paragraph separators, marks of direction, halves of surrogate pairs."""


class OpenTelemetry:
    """Implements Telemetry."""

    def __init__(self, tracer: Tracer, meter: Meter) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = tracer
        self._meter = meter
        self._propagator = TraceContextTextMapPropagator()
        self._instruments: dict[str, Any] = {}

    @contextmanager
    def work(self, name: str, traceparent: str, **attributes: Attribute) -> Iterator[Span]:
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind

        parent = self._propagator.extract({"traceparent": traceparent}, context=Context())
        with self._tracer.start_as_current_span(
            name, context=parent, kind=SpanKind.CONSUMER, attributes=attributes
        ) as span:
            yield from self._within(span)

    @contextmanager
    def call(self, name: str, **attributes: Attribute) -> Iterator[Span]:
        from opentelemetry.trace import SpanKind

        with self._tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes) as span:
            yield from self._within(span)

    def _within(self, span: Any) -> Iterator[Span]:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        token = trace_context.current.set(carrier.get("traceparent", trace_context.current.get()))
        try:
            yield _Span(span)
        finally:
            trace_context.current.reset(token)

    def count(self, name: str, value: int = 1, **attributes: Attribute) -> None:
        if name not in self._instruments:
            self._instruments[name] = self._meter.create_counter(name)
        self._instruments[name].add(value, attributes)

    def measure(self, name: str, value: float, **attributes: Attribute) -> None:
        if name not in self._instruments:
            self._instruments[name] = self._meter.create_histogram(name)
        self._instruments[name].record(value, attributes)


class _Span:
    def __init__(self, span: Any) -> None:
        self._span = span

    def note(self, **attributes: Attribute) -> None:
        self._span.set_attributes(attributes)


def to_azure(connection_string: str, credential: TokenCredential | None) -> Telemetry:
    """To Application Insights, with the managed identity where there is one. Log lines go there through the Functions
    host, once."""
    from azure.monitor.opentelemetry.exporter import AzureMonitorMetricExporter, AzureMonitorTraceExporter

    options: dict[str, Any] = {"connection_string": connection_string}
    if credential is not None:
        options["credential"] = credential
    return _sending(AzureMonitorTraceExporter(**options), AzureMonitorMetricExporter(**options))


def to_otlp(endpoint: str) -> Telemetry:
    """To a collector, by OTLP over HTTP; the standard environment variables set everything else
    (opentelemetry.io/docs/specs/otel/protocol/exporter)."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    base = endpoint.rstrip("/")
    return _sending(OTLPSpanExporter(f"{base}/v1/traces"), OTLPMetricExporter(f"{base}/v1/metrics"))


def _sending(of_spans: SpanExporter, of_figures: MetricExporter) -> Telemetry:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": NAME})
    spans = TracerProvider(resource=resource)
    spans.add_span_processor(BatchSpanProcessor(of_spans))
    meters = MeterProvider(metric_readers=[PeriodicExportingMetricReader(of_figures)], resource=resource)
    return OpenTelemetry(spans.get_tracer(NAME), meters.get_meter(NAME))


class MeteredWriter:
    """A LicenseWriter whose answers are counted."""

    def __init__(self, writer: LicenseWriter, telemetry: Telemetry) -> None:
        self._writer = writer
        self._telemetry = telemetry

    async def set_usage_locations(
        self, locations: Mapping[UserId, str], *, urgent: bool
    ) -> Mapping[UserId, WriteResult]:
        answers = await self._writer.set_usage_locations(locations, urgent=urgent)
        count_answers(self._telemetry, "usageLocation", list(answers.values()))
        return answers

    async def assign(self, calls: Mapping[UserId, LicenseCall], *, urgent: bool) -> Mapping[UserId, WriteResult]:
        answers = await self._writer.assign(calls, urgent=urgent)
        count_answers(self._telemetry, "assignLicense", list(answers.values()))
        return answers


class MeteredMemberships:
    """Memberships whose answers are counted."""

    def __init__(self, memberships: Memberships, telemetry: Telemetry) -> None:
        self._memberships = memberships
        self._telemetry = telemetry

    async def change(self, changes: Sequence[MembershipChange]) -> Sequence[WriteResult | AlreadySo]:
        answers = await self._memberships.change(changes)
        count_answers(self._telemetry, "membership", answers)
        return answers


def count_answers(telemetry: Telemetry, kind: str, answers: Sequence[WriteResult | AlreadySo]) -> None:
    """`licensing.writes` by kind of write and name of the result (`WriteResult`, or AlreadySo)."""
    results: dict[str, int] = {}
    for answer in answers:
        name = type(answer).__name__
        results[name] = results.get(name, 0) + 1
    for name, number in results.items():
        telemetry.count("licensing.writes", number, kind=kind, result=name)


def one_line(text: str) -> str:
    """The text with everything that could begin a new line, or steer a terminal, written as an escape."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


class _Record(logging.LogRecord):
    """A log line of the app, always a single line. Its ids are in the text, because the platform's worker passes on
    nothing else of a record."""

    ids = ""

    def getMessage(self) -> str:  # noqa: N802 - the library's name
        text = super().getMessage()
        return one_line(f"{text} [{self.ids}]" if self.ids else text)


def keep_addresses_out_of_the_log() -> None:
    """Libraries log the address of each call at INFO, which the platform's worker hands on. Addresses of Graph have
    searched names in them, and those of tables have keys."""
    for library in ("azure", "httpx"):
        logging.getLogger(library).setLevel(logging.WARNING)


def give_log_its_context() -> None:
    """Every line of the app gets the trace, operation and correlation id of the task that writes it at its end."""
    make = logging.getLogRecordFactory()
    if getattr(make, "knows_context", False):
        return

    def factory(name: str, *args: Any, **options: Any) -> logging.LogRecord:
        if name.split(".", 1)[0] not in OWN_PACKAGES:
            return make(name, *args, **options)
        record = _Record(name, *args, **options)
        record.ids = trace_context.ids()
        return record

    factory.knows_context = True  # type: ignore[attr-defined]  # a mark, so that it is set once
    logging.setLogRecordFactory(factory)
