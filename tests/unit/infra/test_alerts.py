"""Each alert rests on something the app says or has, and the operating guide tells what to do about it."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from azure.monitor.opentelemetry.exporter.export.trace._exporter import _convert_span_to_envelope
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from infra.check.constants import Constants
from infra.check.nodes import Text
from infra.check.project import load
from infra.check.symbols import body_of
from shared.adapters.telemetry import OpenTelemetry
from shared.domain.outcomes import Failed
from tests.support.project import ROOT

MODULES = ROOT / "infra" / "modules"
FILE = load(MODULES / "alerts.bicep")


def log_rules() -> list[dict[str, Any]]:
    declared = FILE.named("logRules")
    assert declared is not None
    assert declared.value is not None
    rules: list[dict[str, Any]] = Constants(FILE, MODULES).value(declared.value, {})
    return rules


def metric_rules() -> list[str]:
    names = []
    for each in FILE.of("resource"):
        body = body_of(each)
        name = body.get("name") if body and "metricAlerts" in each.type else None
        if isinstance(name, Text):
            names.append(str(name.parts[-1]).removeprefix("-"))
    return names


def test_texts_that_alerts_look_for_are_texts_that_the_code_logs() -> None:
    code = "".join(path.read_text() for part in ("shared", "functions") for path in (ROOT / part).rglob("*.py"))
    texts = [
        text for rule in log_rules() for text in re.findall(r'Message (?:has|startswith) "([^"]+)"', rule["query"])
    ]
    assert len(texts) >= 2
    written = r'(log\.\w+\(|yield f?)["\'][^"\']*{}'
    assert [text for text in texts if not re.search(written.format(re.escape(text)), code)] == []


def test_the_number_that_an_alert_reads_out_of_a_text_is_where_it_looks() -> None:
    (query,) = [rule["query"] for rule in log_rules() if rule["name"] == "work-waits-long"]
    (pattern,) = re.findall(r'extract\(@"([^"]+)"', query)
    written = "work from %s waits %.0f s (time %d): %s"
    assert written in (ROOT / "shared" / "handlers" / "messaging" / "settlement.py").read_text()
    found = re.search(pattern, written % ("members", 300.0, 9, "Graph is away"))
    assert found is not None
    assert found.group(1) == "9"


def test_work_that_alerts_watch_is_work_that_the_app_tells_of_as_a_request() -> None:
    root = (ROOT / "shared" / "bootstrap.py").read_text()
    observed = {f"timer {name}" for name in re.findall(r'_on_time\("([^"]+)"', root)} | set(
        re.findall(r'\.work\("([^"]+)"', root)
    )
    watched = {name for rule in log_rules() for name in re.findall(r'Name == "([^"]+)" and', rule["query"])}
    assert watched == {"timer watchdog", "timer renew subscription", "timer forget old", "Graph notification"}
    assert watched <= observed
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    telemetry = OpenTelemetry(provider.get_tracer("t"), MeterProvider().get_meter("t"))
    with suppress(ValueError), telemetry.work("timer watchdog", ""):
        raise ValueError("broken")
    with telemetry.work("timer watchdog", ""):
        pass
    sent: list[Any] = [_convert_span_to_envelope(span).data.base_data for span in spans.get_finished_spans()]
    assert [(type(each).__name__, each.name, each.success) for each in sent] == [
        ("RequestData", "timer watchdog", False),
        ("RequestData", "timer watchdog", True),
    ]


def test_figures_that_alerts_read_are_figures_that_the_app_counts_with_the_values_they_look_for() -> None:
    code = "".join(path.read_text() for path in (ROOT / "shared").rglob("*.py"))
    (query,) = [rule["query"] for rule in log_rules() if "AppMetrics" in rule["query"]]
    (name,) = re.findall(r'Name == "([^"]+)"', query)
    assert re.search(rf'count\(\s*"{re.escape(name)}", .*\boutcome=', code)
    assert re.findall(r'Properties\.outcome\) == "(\w+)"', query) == [Failed.__name__]


def test_every_rule_looks_back_further_than_to_its_last_look() -> None:
    minutes = {"PT5M": 5, "PT15M": 15, "PT30M": 30, "PT1H": 60, "PT2H": 120, "P1D": 1440, "P2D": 2880}
    rules = log_rules()
    assert len(rules) >= 12
    assert [rule["name"] for rule in rules if minutes[rule["window"]] < 2 * minutes[rule["frequency"]]] == []


def test_the_guide_has_the_meaning_and_the_first_step_of_every_alert_and_of_no_other() -> None:
    table = (ROOT / "docs" / "operating.md").read_text().split("## Alerts")[1].split("## ")[0]
    observed = dict(re.findall(r"^\| `([^`]+)` \| (\d) \|", table, re.MULTILINE))
    severities = {rule["name"]: str(rule["severity"]) for rule in log_rules()}
    assert len(metric_rules()) == 2
    assert observed.keys() == severities.keys() | set(metric_rules())
    assert all(observed[name] == severity for name, severity in severities.items())


def test_headings_that_the_guide_points_to_exist() -> None:
    guide = (ROOT / "docs" / "operating.md").read_text()
    headings = {
        re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in re.findall(r"^#+ (.+)$", guide, re.M)
    }
    targets = set(re.findall(r"\]\(#([^)]+)\)", guide))
    assert len(targets) >= 10
    assert targets <= headings
