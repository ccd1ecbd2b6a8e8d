"""Queue declarations: the repository's own, durations, and faults reported all at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local.servicebus.config import ConfigError, QueueSettings, duration_s, load, parse

ROOT = Path(__file__).parent.parent.parent.parent.parent


def declared(*queues: dict[str, Any]) -> dict[str, Any]:
    return {"UserConfig": {"Namespaces": [{"Name": "n", "Queues": list(queues)}]}}


def test_the_queues_of_the_product_are_read_from_its_declaration() -> None:
    queues = load(ROOT / "infra" / "servicebus-config.json")
    assert {"jobs", "operations", "members", "members-bulk"} <= set(queues)
    assert queues["members"] == QueueSettings(
        lock_duration_s=60,
        max_delivery_count=10,
        default_ttl_s=14 * 86_400,
        dead_letter_on_expiration=True,
        requires_duplicate_detection=True,
        duplicate_window_s=600,
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT1M", 60), ("P14D", 1_209_600), ("P1DT2H3M4.5S", 93_784.5), ("PT0.25S", 0.25), ("P2W", 1_209_600)],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "1M", "PT1", "P1M", "-PT1M", None, 60])
def test_what_is_no_duration_is_rejected(text: object) -> None:
    with pytest.raises(ValueError, match="not an ISO 8601 duration"):
        duration_s(text)


def test_properties_that_are_not_given_have_the_defaults_of_azure() -> None:
    assert parse(declared({"Name": "Q"}, {"Name": "r", "Properties": {}})) == {
        "q": QueueSettings(),
        "r": QueueSettings(),
    }


def test_all_faults_are_reported_at_once_with_queue_and_property() -> None:
    wrong = declared(
        {"Name": "a", "Properties": {"LockDuration": "PT6M", "MaxDeliveryCount": 0, "Speed": 1}},
        {"Name": "A"},
        {"Name": "b", "Properties": {"RequiresSession": True, "ForwardTo": "a", "RequiresDuplicateDetection": "yes"}},
        {"Name": "", "Properties": {"DefaultMessageTimeToLive": "tomorrow"}},
        {"Properties": []},
    )
    wrong["UserConfig"]["Namespaces"][0]["Topics"] = [{"Name": "t"}]
    with pytest.raises(ConfigError) as caught:
        parse(wrong)
    observed = "\n".join(caught.value.faults)
    for part in (
        "queue a: LockDuration: PT6M must be more than 0 s and at most 300 s",
        "queue a: MaxDeliveryCount: 0 must be a number from 1 to 2000",
        "queue a: Speed is not a known property",
        "queue A: is declared twice",
        "queue b: RequiresSession: True is not supported",
        "queue b: ForwardTo: 'a' is not supported",
        "queue b: RequiresDuplicateDetection: 'yes' is neither true nor false",
        "DefaultMessageTimeToLive: 'tomorrow' is not an ISO 8601 duration",
        "queue None: Name must be",
        "Topics are not supported",
    ):
        assert part in observed


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "UserConfig.Namespaces must be a list"),
        (json.dumps(declared()), "no queue is declared"),
        (json.dumps({"UserConfig": {"Namespaces": [{}, {}]}}), "the limit is 1"),
        (json.dumps({"UserConfig": {"Namespaces": [{"Queues": {}}]}}), "Queues must be a list"),
    ],
)
def test_a_file_of_another_shape_is_rejected_by_name(tmp_path: Path, content: str, fault: str) -> None:
    path = tmp_path / "queues.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=fault) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.json"):
        load(tmp_path / "absent.json")
