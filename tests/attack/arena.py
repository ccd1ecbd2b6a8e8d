"""The stack that is attacked: a group of a dozen with licenses, a group that HR may not write to, two HR systems."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from azure.servicebus import ServiceBusClient, ServiceBusMessage

from tests.attack.asking import CLIENTS, Answer, Mint, ask
from tests.attack.expected import EVERYTHING
from tests.attack.results import Results
from tests.support.days import Days, movable
from tests.support.stack_journeys import Journey, journey, short_locks

SKU, OTHER_SKU = "SPE_E3", "VISIOCLIENT"
SEATS = 10_000
TEAM = 12
AT_ONCE = 6
"""Requests at the same time: what one function host can answer on a small machine."""

ONE, TWO, BY_QUEUE = "urn:hr:one", "urn:hr:two", "urn:hr:queue"
"""Sources of HR events. The first two are bound to an application each, the third to the queue."""

HR_ONE, HR_TWO = "onboarding", "administrator"
"""The clients of the two HR systems."""

Item = TypeVar("Item")


class Bar:
    """Whom the arena reports to; this one shows nothing."""

    def begin(self, name: str) -> None:
        """A kind of attempts begins."""

    def expect(self, count: int) -> None:
        """So many attempts of the kind are made one after the other."""

    def advance(self) -> None:
        """One of them was made."""


def fixed(name: str) -> str:
    """An id that settings can name before the object is there."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.attack.example"))


BOSS = fixed("boss")
ALLOWED, PAYROLL, ROLES = fixed("allowed"), fixed("payroll"), fixed("roles")
"""The group that HR may write to, a licensed one that it may not, and a role-assignable one, which the setting names
although nobody may write to it."""

PREVIEWS = 60
"""Previews of a caller in a minute, far below the default: a small machine makes no more than the default."""

SETTINGS = {
    "ONBOARDING_GROUPS": f"{ALLOWED},{ROLES}",
    "CALLER_PREVIEWS_PER_MINUTE": str(PREVIEWS),
    "ONBOARDING_SENDERS": f"{ONE} {CLIENTS[HR_ONE]}, {TWO} {CLIENTS[HR_TWO]}, {BY_QUEUE} queue",
    "ONBOARDING_SOURCES": ", ".join(f"{source} sequence UTC" for source in (ONE, TWO, BY_QUEUE)),
    "LEAVER_MINIMUM_DELAY": "P1D",
    "PROTECTED_ACCOUNTS": BOSS,
    "TWO_PERSON_ABOVE": "5",
    "REMOVAL_ALLOWANCE_MINIMUM": "3",
    "REMOVAL_ALLOWANCE_PERCENT": "0",
}


@dataclass
class Arena:
    """A running stack and what attackers need on it. `every`: only each so many-th of many attempts is made."""

    run: Journey
    mint: Mint
    results: Results = field(default_factory=Results)
    every: int = 1
    bar: Bar = field(default_factory=Bar)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def days(self) -> Days:
        return Days(self.run)

    def ask(self, method: str, target: str, headers: dict[str, str] | None = None, body: object = None) -> Answer:
        """Send a request. A server error is a fault, whatever was tried; 503 is meant where a dependency is away."""
        answer = ask(self.run.stack.endpoints.api, method, target, headers, body)
        if answer.status >= 500 and answer.status != 503:
            self.results.must("server errors", f"{method} {target}", False, answer)
        return answer

    def some(self, attempts: Iterable[Item]) -> list[Item]:
        """All attempts, or each so many-th in a short run."""
        return list(attempts)[:: self.every]

    def each(self, attempts: Iterable[Item], make: Callable[[Item], None]) -> None:
        """Make attempts that do not depend on each other, several at once."""

        def one(attempt: Item) -> None:
            make(attempt)
            self.bar.advance()

        listed = list(attempts)
        self.bar.expect(len(listed))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(one, listed))

    def number(self) -> int:
        return next(self._numbers)

    def someone(self) -> str:
        """An object id that has not called before."""
        return str(uuid.uuid4())

    def person(self, *roles: str, oid: str | None = None, **claims: object) -> dict[str, str]:
        return self.mint.token(oid or self.someone(), *(roles or (EVERYTHING,)), **claims)

    def hr(self, client: str = HR_ONE, *roles: str) -> dict[str, str]:
        """The headers of an HR system."""
        return self.mint.app(fixed(client), *(roles or ("Onboarding.Write",)), azp=CLIENTS[client])

    def send(self, queue: str, *bodies: object) -> None:
        """Put messages into a queue as JSON."""
        with (
            ServiceBusClient.from_connection_string(self.run.stack.endpoints.service_bus) as client,
            client.get_queue_sender(queue) as sender,
        ):
            for body in bodies:
                sender.send_messages(ServiceBusMessage(json.dumps(body)))

    def members(self, group: str) -> set[str]:
        """Members of a group in the directory."""
        (found,) = [each for each in self.run.directory()["groups"] if each["id"] == group]
        return set(found["members"])

    def people(self, count: int) -> list[str]:
        """New users in no group."""
        placed = self.run.client.tenant("POST", "/objects", {"users": [{"usageLocation": "DE"}] * count})
        users: list[str] = placed["users"]
        return users

    def licensed(self, *users: str) -> list[bool]:
        """Whether each user has the license of the team in the directory."""
        return [SKU in self.days.skus(user) for user in users]

    def holders(self, group: str) -> set[str]:
        """Members of a group that have the license of the team in the directory. A leaver of HR who is still a member
        has none, rightly."""
        members = sorted(self.members(group))
        return {user for user, has in zip(members, self.licensed(*members), strict=True) if has}

    def audit(self, activity: str = "") -> list[dict[str, Any]]:
        """Entries of the audit log, newest first."""
        return self.run.rows(f"/api/audit?$top=500&activity={activity.replace(' ', '%20')}")


@contextmanager
def attacking(folder: Path, *, every: int = 1, settings: dict[str, str] | None = None) -> Iterator[Arena]:
    """A stack to attack, with an empty record."""
    options = movable(folder)
    options["settings"] = {**options["settings"], **SETTINGS, **(settings or {})}
    with journey(folder / "state", validated=False, members=60, broker_config=short_locks(folder), **options) as run:
        ends = run.stack.endpoints
        arena = Arena(run, Mint(run.stack.signing_key, ends.tenant_id), every=every)
        _furnish(arena)
        yield arena


def _furnish(arena: Arena) -> None:
    run = arena.run
    skus = [{"skuId": run.skus[name], "enabled": SEATS} for name in (SKU, OTHER_SKU)]
    run.client.tenant("POST", "/objects", {"skus": skus, "users": [{"id": BOSS, "usageLocation": "DE"}]})
    team, payroll = [BOSS, *arena.people(TEAM - 1)], arena.people(3)
    groups = [
        {"id": ALLOWED, "displayName": "team", "members": team},
        {"id": PAYROLL, "displayName": "payroll", "members": payroll},
    ]
    run.client.tenant("POST", "/objects", {"groups": groups})
    for group, sku in ((ALLOWED, SKU), (PAYROLL, OTHER_SKU)):
        run.finish(run.change(group, {sku: []}, []))
    run.client.save_profile("sales", {"match": {"department": ["Sales"]}, "groups": [ALLOWED]})
    run.fire("renew_subscription")
