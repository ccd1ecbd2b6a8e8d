"""What tests on a stack share: the stack, a group of everything that can go wrong, and questions to both sides."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient

from local.client import ENDED, Client
from local.stack import ROOT, Stack, StackOptions
from tests.support import graph_schema
from tests.support.naming import must_name_nobody
from tests.support.oracle import Act, Oracle

SCALE = 10.0
SETTLE = "PT2S"
PATIENCE_S = 240.0
"""How long anything is waited for: far above what is measured, since a busy machine is no fault."""

FIRED_BY_HAND = ("renew_subscription", "query_deltas", "sync_all", "watch_errors", "start_first_contact")
"""Timers that start work of their own: a journey must not depend on the minute of the hour it runs in."""

T = TypeVar("T")


@dataclass
class Journey:
    """A running stack, its client, and the oracle that saw the directory before anything was asked."""

    stack: Stack
    client: Client
    oracle: Oracle
    groups: dict[str, str]
    skus: dict[str, str]
    seen: int = field(default=0)

    @property
    def main(self) -> str:
        return self.groups["main"]

    def directory(self) -> dict[str, Any]:
        return self.client.tenant("GET", "/directory")

    def writes(self) -> list[dict[str, Any]]:
        """The tenant's write log since the last time it was asked for."""
        found: list[dict[str, Any]] = []
        while True:
            page: Any = self.client.tenant("GET", f"/writes?after={self.seen}&limit=5000")
            if not page:
                return found
            found += page
            self.seen = page[-1]["seq"]

    def queues(self) -> dict[str, dict[str, int]]:
        """The broker's count of messages, by queue and kind."""
        with urllib.request.urlopen(f"{self.stack.endpoints.broker_control}/queues", timeout=PATIENCE_S) as answer:
            found: dict[str, dict[str, int]] = json.load(answer)["queues"]
        return found

    def dead_letters(self) -> list[dict[str, Any]]:
        """Messages the app put aside, with the reason, newest first."""
        ends = self.stack.endpoints
        with TableServiceClient.from_connection_string(ends.tables_connection) as service:
            table = service.get_table_client(f"{ends.table_prefix}deadletters")
            with suppress(ResourceNotFoundError):
                return [dict(row) for row in table.list_entities()]
        return []

    def start(self, path: str, body: object | None = None) -> dict[str, Any]:
        return self.client.api("POST", path, body if body is not None else {})

    def decide(self, path: str, body: object | None = None) -> dict[str, Any]:
        """What only a person may do, who has just signed in."""
        return self.client.decide(path, body if body is not None else {})

    def fire(self, timer: str) -> None:
        """Start a timer function now."""
        self.client.fire(timer)

    def change(self, group: str, add: dict[str, list[str]], remove: list[str], query: str = "") -> dict[str, Any]:
        """Ask for licenses by part number; the operation as accepted."""
        body = {
            "addLicenses": [{"skuId": self.skus[sku], "disabledPlans": plans} for sku, plans in add.items()],
            "removeLicenses": [self.skus[sku] for sku in remove],
        }
        return self.start(f"/api/groups/{group}/assignLicense{query}", body)

    def believe(self, group: str, add: dict[str, list[str]], remove: list[str]) -> None:
        """Tell the oracle what was asked and accepted."""
        added = {self.skus[sku]: plans for sku, plans in add.items()}
        self.oracle.act(Act(group, added, [self.skus[sku] for sku in remove]))

    def finish(self, operation: dict[str, Any]) -> dict[str, Any]:
        """The operation when it has ended; one that waits for approval is approved."""
        found = self.client.ended(operation["id"], PATIENCE_S)
        if found["state"] == "AwaitingApproval":
            self.decide(f"/api/operations/{found['id']}/approve", {"checksum": found["checksum"]})
            found = self.until_ended(found["id"])
        return found

    def until_ended(self, operation_id: str) -> dict[str, Any]:
        return eventually(lambda: self.client.operation(operation_id), lambda each: each["state"] in ENDED, PATIENCE_S)

    def until_quiet(self) -> None:
        """Until no message waits to be worked on, twice in a row."""
        queue_states = 0

        def at_rest() -> int:
            nonlocal queue_states
            working = {name: counts for name, counts in self.queues().items() if name != "results"}
            busy = any(counts["active"] + counts["locked"] for counts in working.values())
            queue_states = 0 if busy or self.queues()["notifications"]["scheduled"] else queue_states + 1
            return queue_states

        eventually(at_rest, lambda quiet: quiet >= 2, PATIENCE_S)

    def licensed_by_writes(self, writes: list[dict[str, Any]]) -> set[str]:
        """Users whose licenses the product changed, by the tenant's own log."""
        return {each["userId"] for each in writes if each["operation"] == "assignLicense" and each["changed"]}

    def rows(self, path: str) -> list[dict[str, Any]]:
        """All pages of a collection of the app."""
        page: str | None = path
        found: list[dict[str, Any]] = []
        while page:
            answer = self.client.api("GET", page)
            found += answer["value"]
            page = answer.get("@odata.nextLink")
        return found

    def errors(self, group: str) -> dict[str, dict[str, Any]]:
        """The group's members in error or waiting, by user."""
        return {row["id"]: row for row in self.rows(f"/api/groups/{group}/membersWithLicenseErrors?$top=100")}

    def must_be_right(self) -> None:
        """The oracle agrees for every user, and no message was dead-lettered."""
        assert self.oracle.disagreements(self.directory()) == []
        assert {name: counts["deadLetter"] for name, counts in self.queues().items() if counts["deadLetter"]} == {}

    def errors_must_be_true(self, group: str) -> None:
        """Exactly the members of whom the oracle says so are shown, for true reasons, and each error with a remedy."""
        expected = self.oracle.in_error(self.directory(), group)
        shown = self.errors(group)
        reasons = {user: shown_reasons(row) for user, row in shown.items()}
        assert reasons.keys() == expected.keys()
        assert {user: why for user, why in reasons.items() if not why or not why <= expected[user]} == {}
        assert all(problem["remedy"] for row in shown.values() for problem in row["problems"])


def shown_reasons(row: dict[str, Any]) -> set[str]:
    """The errors of a member as the app shows them, in the oracle's words."""
    words = {problem["error"] for problem in row["problems"]}
    return {"CountViolation"} if row["state"] == "Waiting" else {"foreign" if w == "Other" else w for w in words}


def eventually(look: Callable[[], T], good: Callable[[T], bool], timeout_s: float = PATIENCE_S) -> T:
    """What `look` returns once it is good. Raises TimeoutError with the last of it."""
    ending = time.monotonic() + timeout_s
    while not good(found := look()):
        if time.monotonic() > ending:
            raise TimeoutError(f"still {found!r} after {timeout_s:.0f} s")
        time.sleep(0.2)
    return found


def short_locks(directory: Path, seconds: int = 5) -> Path:
    """The project's queues with locks of a few seconds, so that a killed worker's messages come back soon."""
    declared: dict[str, Any] = json.loads((ROOT / "infra" / "servicebus-config.json").read_text())
    for queue in declared["UserConfig"]["Namespaces"][0]["Queues"]:
        queue["Properties"]["LockDuration"] = f"PT{seconds}S"
    path = directory / "servicebus.json"
    path.write_text(json.dumps(declared))
    return path


@contextmanager
def journey(state_dir: Path, *, validated: bool = True, **options: Any) -> Iterator[Journey]:
    """A fresh stack with a generated tenant of everything that can go wrong. `validated`: every answer of the tenant is
    held against Graph's metadata at the end; not where answers are broken on purpose."""
    by_hand = {f"AzureWebJobs.{timer}.Disabled": "true" for timer in FIRED_BY_HAND}
    settings = {"REMOVAL_WINDOW": SETTLE, **by_hand, **options.pop("settings", {})}
    chosen = {"members": 300, "seed": 7, "processes": 2, "scale": SCALE, "latency_ms": (5, 20), **options}
    with Stack(StackOptions(state_dir=state_dir, settings=settings, **chosen)) as stack:
        client = Client(stack.endpoints)
        client.tenant("PATCH", "/settings", {"record": validated})
        summary = client.tenant("GET", "/summary")
        before = client.tenant("GET", "/directory")
        found = Journey(stack, client, Oracle(before), summary["groups"], summary["skus"])
        yield found
        must_name_nobody(stack.logs_dir)
        assert not validated or validated_answers(found) > 0


TYPES = (
    (re.compile(r"GET /users(/[^/]+)?$|POST /users/[^/]+/(assignLicense|reprocessLicenseAssignment)$"), "user"),
    (
        re.compile(
            r"GET /groups/[^/]+/((transitiveM|m)embers|membersWithLicenseErrors)$|GET /(users|groups)/[^/]+/memberOf$"
            r"|POST /directoryObjects/getByIds$"
        ),
        "directoryObject",
    ),
    (re.compile(r"GET /groups(/[^/]+)?$|POST /groups/[^/]+/assignLicense$"), "group"),
    (re.compile(r"(GET|POST) /subscriptions$|PATCH /subscriptions/[^/]+$"), "subscription"),
    (re.compile(r"GET /subscribedSkus$", re.IGNORECASE), "subscribedSku"),
    (re.compile(r"GET /organization$"), "organization"),
)
"""Which type of Graph's metadata an answer must be."""

UNTYPED = re.compile(r"GET /roleManagement/")
"""Answers whose types are not in the extract of Graph's metadata."""

IDS = re.compile(r"POST /users/[^/]+/getMemberGroups$")


def validated_answers(run: Journey) -> int:
    """Hold every answer of the tenant so far against Graph's metadata; returns how many there were."""
    answers: Any = run.client.tenant("GET", "/recording")
    for answer in answers:
        _validate(answer)
    return len(answers)


def _validate(answer: dict[str, Any]) -> None:
    asked, body = f"{answer['method']} {answer['path']}", answer["body"]
    if answer["path"] == "/$batch":
        graph_schema.validate_batch(body, answer["ids"])
        assert len(body["responses"]) == len(answer["ids"])
    elif answer["status"] >= 400:
        graph_schema.validate_error(body, status=answer["status"])
    elif answer["status"] == 204:
        assert body is None, asked
    elif asked == "GET /groups/delta":
        _validate_delta(body)
    elif UNTYPED.search(asked):
        assert isinstance(body["value"], list), asked
    elif IDS.search(asked):
        assert all(isinstance(each, str) for each in body["value"]), asked
    else:
        known = [name for pattern, name in TYPES if pattern.search(asked)]
        assert known, f"no type is known for {asked}"
        selected = answer["query"].get("$select")
        graph_schema.validate(body, known[0], selected.split(",") if selected else None)


def _validate_delta(body: dict[str, Any]) -> None:
    """A page of delta: groups, each with what came and went beside its own properties."""
    assert ("@odata.nextLink" in body) != ("@odata.deltaLink" in body)
    for row in body["value"]:
        for member in row.get("members@delta", ()):
            assert member["@odata.type"].startswith("#microsoft.graph."), member
            assert set(member) <= {"@odata.type", "id", "@removed"}, member
            assert member.get("@removed", {"reason": "deleted"}) == {"reason": "deleted"}, member
    plain = [{k: v for k, v in row.items() if k not in ("members@delta", "@removed")} for row in body["value"]]
    graph_schema.validate({"value": plain}, "group")


def assert_adds_up(operation: dict[str, Any]) -> None:
    totals = operation["totals"]
    classes = ("applied", "unchanged", "waiting", "failed", "skipped")
    assert sum(totals[each] for each in classes) == totals["members"], totals
