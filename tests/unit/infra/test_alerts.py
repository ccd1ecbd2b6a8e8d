"""Each alert rests on something the app says or has, and the operating guide tells what to do about it."""

from __future__ import annotations

import re
from typing import Any

from infra.check.constants import Constants
from infra.check.nodes import Text
from infra.check.project import load
from infra.check.symbols import body_of
from tests.unit.test_documents import ROOT

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
    code = "".join(path.read_text() for path in (ROOT / "shared").rglob("*.py"))
    texts = [
        text for rule in log_rules() for text in re.findall(r'Message (?:has|startswith) "([^"]+)"', rule["query"])
    ]
    assert len(texts) >= 2
    assert all(re.search(rf'log\.\w+\("[^"]*{re.escape(text)}', code) for text in texts), texts


def test_the_number_that_an_alert_reads_out_of_a_text_is_where_it_looks() -> None:
    (query,) = [rule["query"] for rule in log_rules() if rule["name"] == "work-waits-long"]
    (pattern,) = re.findall(r'extract\(@"([^"]+)"', query)
    written = "work from %s waits %.0f s (time %d): %s"
    assert written in (ROOT / "shared" / "handlers" / "settling.py").read_text()
    found = re.search(pattern, written % ("members", 300.0, 9, "Graph is away"))
    assert found is not None
    assert found.group(1) == "9"


def test_functions_that_alerts_watch_exist() -> None:
    functions = "".join(path.read_text() for path in (ROOT / "functions").glob("*.py"))
    watched = {name for rule in log_rules() for name in re.findall(r'Name == "(\w+)"', rule["query"])}
    assert watched == {"watchdog", "keep_subscription", "graph_notifications"}
    assert all(f'function_name("{name}")' in functions for name in watched)


def test_the_guide_has_the_meaning_and_the_first_step_of_every_alert_and_of_no_other() -> None:
    table = (ROOT / "docs" / "operating.md").read_text().split("## Alerts")[1].split("## ")[0]
    told = dict(re.findall(r"^\| `([^`]+)` \| (\d) \|", table, re.MULTILINE))
    severities = {rule["name"]: str(rule["severity"]) for rule in log_rules()}
    assert len(metric_rules()) == 2
    assert told.keys() == severities.keys() | set(metric_rules())
    assert all(told[name] == severity for name, severity in severities.items())


def test_headings_that_the_guide_points_to_exist() -> None:
    guide = (ROOT / "docs" / "operating.md").read_text()
    headings = {
        re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in re.findall(r"^#+ (.+)$", guide, re.M)
    }
    targets = set(re.findall(r"\]\(#([^)]+)\)", guide))
    assert len(targets) >= 10
    assert targets <= headings
