"""Settings: defaults, faults, and what a fault may say."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest

from shared import config
from shared.bootstrap import policy_of
from shared.config import Settings, outstanding_chunks
from shared.domain.errors import ConfigError
from shared.domain.ids import GroupId
from shared.ports.world import Policy
from shared.setting_values import parse_duration

ROOT = Path(config.__file__).parent.parent
TENANT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
LEAST = {"TENANT_ID": TENANT, "ServiceBusConnection": "Endpoint=sb://x/", "TablesConnection": "UseDevelopmentStorage"}


def faults(**changes: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Settings.from_env({**LEAST, **changes})
    return list(caught.value.faults)


def test_the_defaults_are_the_published_limits_and_the_policy_repeats_them() -> None:
    settings = Settings.from_env(LEAST)
    assert (settings.write_rate_per_s, settings.write_burst) == (19.5, 30)
    assert (settings.write_window_limit, settings.write_window_s) == (3000, 150.0)
    assert settings.graph_base_url == "https://graph.microsoft.com/v1.0"
    policy = policy_of(settings)
    assert policy == Policy(tenant_id=TENANT, outstanding_chunks=policy.outstanding_chunks)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_env({"CHUNK_SIZE": "21", "REMOVAL_WINDOW": "1 minute", "WRITE_RATE_PER_SECOND": "fast"})
    named = " / ".join(caught.value.faults)
    for name in (
        "TENANT_ID",
        "ServiceBusConnection",
        "TablesConnection",
        "CHUNK_SIZE",
        "REMOVAL_WINDOW",
        "WRITE_RATE_PER_SECOND",
    ):
        assert name in named
    assert len(caught.value.faults) == 6
    assert "1 to 20" in named


def test_a_connection_is_a_string_or_an_address_and_never_both() -> None:
    by_identity = {
        "TENANT_ID": TENANT,
        "ServiceBusConnection__fullyQualifiedNamespace": "x.servicebus.windows.net",
        "TablesConnection__endpoint": "https://x.table.core.windows.net",
    }
    settings = Settings.from_env(by_identity)
    assert (settings.service_bus_connection, settings.service_bus_namespace) == (None, "x.servicebus.windows.net")
    assert settings.tables_endpoint == "https://x.table.core.windows.net"
    assert len(faults(TablesConnection__endpoint="https://x.table.core.windows.net")) == 1


def test_a_connection_string_never_appears_in_a_fault() -> None:
    secret = "Endpoint=sb://x/;SharedAccessKey=hidden"
    found = faults(ServiceBusConnection=secret, ServiceBusConnection__fullyQualifiedNamespace="x", CHUNK_SIZE="0")
    assert len(found) == 2
    assert "hidden" not in " ".join(found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TENANT_ID", "contoso"),
        ("TABLE_PREFIX", "1gbl"),
        ("TABLE_PREFIX", "g-b"),
        ("WEBSITE_AUTH_ENABLED", "perhaps"),
        ("WRITE_RATE_PER_SECOND", "0"),
        ("WRITE_RATE_PER_SECOND", "nan"),
        ("WRITE_WINDOW_SECONDS", "inf"),
        ("WRITE_BURST", "1.5"),
        ("INTERACTIVE_SHARE", "1"),
        ("INTERACTIVE_SHARE", "0"),
        ("REMOVAL_ALLOWANCE_PERCENT", "101"),
        ("REMOVAL_ALLOWANCE_MINIMUM", "-1"),
        ("REMOVAL_ALLOWANCE_MAXIMUM", "-1"),
        ("TENANT_REMOVAL_ALLOWANCE", "-1"),
        ("REMOVAL_WINDOW", "P2D"),
        ("OUTSTANDING_CHUNKS", "0"),
        ("GRAPH_BASE_URL", "http://graph.microsoft.com/v1.0"),
        ("GRAPH_BASE_URL", "graph.microsoft.com"),
    ],
)
def test_a_value_out_of_range_is_one_fault_that_names_the_setting(name: str, value: str) -> None:
    found = faults(**{name: value})
    assert len(found) == 1
    assert found[0].startswith(f"{name} must be ")


def test_graph_on_this_machine_may_be_plain_http() -> None:
    settings = Settings.from_env({**LEAST, "GRAPH_BASE_URL": "http://127.0.0.1:8081/v1.0/"})
    assert settings.graph_base_url == "http://127.0.0.1:8081/v1.0"


def test_platform_authentication_is_off_unless_the_platform_says_on() -> None:
    assert not Settings.from_env(LEAST).platform_authentication
    assert not Settings.from_env({**LEAST, "WEBSITE_AUTH_ENABLED": "False"}).platform_authentication
    assert Settings.from_env({**LEAST, "WEBSITE_AUTH_ENABLED": "True"}).platform_authentication


def test_outstanding_chunks_are_thirty_seconds_of_writes_and_at_least_24() -> None:
    assert outstanding_chunks(18.0, 20) == 27
    assert outstanding_chunks(1.0, 20) == 24
    assert outstanding_chunks(180.0, 20) == 270
    assert Settings.from_env({**LEAST, "WRITE_RATE_PER_SECOND": "180"}).outstanding_chunks == 270
    assert Settings.from_env({**LEAST, "OUTSTANDING_CHUNKS": "7"}).outstanding_chunks == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT1M", timedelta(minutes=1)),
        ("PT0S", timedelta(0)),
        ("P1DT2H3M4.5S", timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
        ("P", None),
        ("PT", None),
        ("P1DT", None),
        ("P1M", None),
        ("1M", None),
        ("PT-1M", None),
    ],
)
def test_durations_are_iso_8601_of_fixed_length(text: str, expected: timedelta | None) -> None:
    assert parse_duration(text) == expected


def test_each_setting_says_what_it_is() -> None:
    source = (ROOT / "shared" / "config.py").read_text()
    body = source[source.index("class Settings") : source.index("def from_env")]
    for name in Settings.__dataclass_fields__:
        assert re.search(rf'^    {name}: .*\n    """', body, re.MULTILINE), f"{name} has no docstring"


def test_nothing_else_reads_the_environment() -> None:
    readers = [
        str(path.relative_to(ROOT))
        for folder in ("functions", "shared")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"\bos\.(environ|getenv)|from os import", path.read_text())
    ]
    assert readers == ["shared" + os.sep + "bootstrap.py"]


def test_groups_that_hr_may_write_to_are_absent_none_or_ids() -> None:
    group = "0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e3f"
    assert Settings.from_env(LEAST).onboarding_groups is None
    assert Settings.from_env({**LEAST, "ONBOARDING_GROUPS": "None"}).onboarding_groups == frozenset()
    named = {**LEAST, "ONBOARDING_GROUPS": f" {group.upper()}, {TENANT}"}
    assert Settings.from_env(named).onboarding_groups == frozenset({GroupId(group), GroupId(TENANT)})
    assert faults(ONBOARDING_GROUPS="*") == ["ONBOARDING_GROUPS must list GUIDs, not '*'"]


def test_groups_that_hr_may_write_to_can_be_those_of_administrative_units() -> None:
    group, unit = "0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e3f", "1f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e3f"
    both = Settings.from_env({**LEAST, "ONBOARDING_GROUPS": f"administrativeUnit:{unit.upper()}, {group}"})
    assert (both.onboarding_groups, both.onboarding_units) == (frozenset({GroupId(group)}), frozenset({unit}))
    one = Settings.from_env({**LEAST, "ONBOARDING_GROUPS": f"AdministrativeUnit:{unit}"})
    assert (one.onboarding_groups, one.onboarding_units) == (frozenset(), frozenset({unit}))
    assert Settings.from_env(LEAST).onboarding_units == frozenset()
    assert faults(ONBOARDING_GROUPS="administrativeUnit:Sales") == [
        "ONBOARDING_GROUPS must list GUIDs, not 'administrativeunit:sales'"
    ]
