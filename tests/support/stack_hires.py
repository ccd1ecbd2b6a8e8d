"""HR events for tests on a whole stack: how they are sent, what became of them, what the results queue tells."""

from __future__ import annotations

import itertools
import json
import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from azure.servicebus import ServiceBusClient, ServiceBusMessage

from local.client import CallError
from local.stack import hr_senders
from shared.domain.onboarding import event_key
from tests.support.stack_journeys import PATIENCE_S, Journey, eventually, journey, short_locks

SOURCE = "urn:hr:e2e"
NAMES = ("sales", "labs", "rule", "synchronized", "roles")
GROUPS = {name: str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.hr.example")) for name in NAMES}
"""Ids of the groups that HR may write to: the setting must name them before they are there."""

SETTINGS = {
    "ONBOARDING_GROUPS": ",".join(GROUPS.values()),
    "LEAVER_ALLOWANCE_MINIMUM": "5",
    "LEAVER_ALLOWANCE_PERCENT": "0",
    "ONBOARDING_SENDERS": hr_senders(SOURCE),
    "ONBOARDING_SOURCES": f"{SOURCE} sequence UTC",
}
NUMBERS = itertools.count(1)
"""Events are numbered in the order in which tests make them, whatever the order of their arrival."""
SEATS = 20_000
SKUS = ("SPE_E3", "SPE_E5", "VISIOCLIENT")
LICENSED = {"sales": ("SPE_E3", "SWAY"), "labs": ("SPE_E5", "SWAY")}
"""Group -> the product it gives, and the plan it turns off there; no other plan needs that one."""

ENDS = ("Done", "DoneWithErrors", "Failed", "Superseded", "Cancelled")
ALL = "/api/onboarding?$top=500"


@contextmanager
def hiring(folder: Path, **options: Any) -> Iterator[Journey]:
    """Two licensed groups with a profile for each; both turn the same plan off."""
    settings = {**SETTINGS, **options.pop("settings", {})}
    values: dict[str, Any] = {"members": 60, "broker_config": short_locks(folder), **options}
    with journey(folder / "state", settings=settings, **values) as started:
        seats = [{"skuId": started.skus[name], "enabled": SEATS} for name in SKUS]
        started.client.tenant("POST", "/objects", {"skus": seats})
        named = [{"id": GROUPS[name], "displayName": f"hr-{name}"} for name in LICENSED]
        placed = started.client.tenant("POST", "/objects", {"groups": named})
        plans = started.oracle.tables.plans
        for (name, (sku, plan)), group in zip(LICENSED.items(), placed["groups"], strict=True):
            off = [each for each, text in plans[started.skus[sku]].items() if text == plan]
            started.groups[name] = group
            started.finish(started.change(group, {sku: off}, []))
            started.believe(group, {sku: off}, [])
            profile = {"match": {"department": [name]}, "groups": [group], "usageLocation": "DE"}
            started.client.save_profile(name, profile)
        yield started


def event(kind: str, name: str, user: dict[str, str], **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "type": f"hr.{kind}.v1",
        "source": SOURCE,
        "id": name,
        "time": "2026-01-01T00:00:00Z",
        "data": {"user": user, "effectiveDate": "2026-01-01", "sequence": next(NUMBERS), **data},
    }


def accounts(run: Journey, count: int, **values: Any) -> list[str]:
    """New accounts in no group."""
    users = [{"usageLocation": "CH", "employeeId": f"h{random.randrange(10**9)}", **values} for _ in range(count)]
    placed = run.client.tenant("POST", "/objects", {"users": users})
    run.oracle.meet(run.directory())
    found: list[str] = placed["users"]
    return found


def by_queue(run: Journey, *events: object) -> None:
    with (
        ServiceBusClient.from_connection_string(run.stack.endpoints.service_bus) as client,
        client.get_queue_sender("onboarding") as sender,
    ):
        for each in events:
            sender.send_messages(ServiceBusMessage(json.dumps(each)))


def by_http(run: Journey, events: object) -> dict[str, Any]:
    return run.client.api("POST", "/api/onboarding", events)


def records(run: Journey) -> dict[str, dict[str, Any]]:
    """Every event that was taken, by its id."""
    return {found["eventId"]: found for found in run.rows(ALL) if found["eventSource"] == SOURCE}


def record(run: Journey, name: str) -> dict[str, Any]:
    """One event and what became of it."""
    try:
        return run.client.api("GET", f"/api/onboarding/{event_key(SOURCE, name)}")
    except CallError as rejection:
        if rejection.status != 404:
            raise
        return {"state": "not there"}


def until(run: Journey, name: str, *states: str, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
    return eventually(lambda: record(run, name), lambda each: each["state"] in states, timeout_s)


def outcomes(record: dict[str, Any]) -> tuple[list[str], list[str]]:
    """What became of the groups and of the licenses."""
    return [each["outcome"] for each in record["groups"]], [each["outcome"] for each in record["licenses"]]


def results(run: Journey) -> dict[str, dict[str, Any]]:
    """What was told on the results queue since the last time, by event."""
    with (
        ServiceBusClient.from_connection_string(run.stack.endpoints.service_bus) as client,
        client.get_queue_receiver("results") as receiver,
    ):
        observed = {}
        while run.queues()["results"]["active"]:
            for message in receiver.receive_messages(100, max_wait_time=5):
                body = json.loads(str(message))
                observed[body["subject"]] = body
                receiver.complete_message(message)
    return observed
