"""The requests of a first-contact run, one after another. Each observation is saved before the next request, so a run
that was interrupted continues after its last step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from shared.domain.errors import Unavailable
from shared.domain.first_contact import LEASE, Answer, Observation, Run, Subject
from shared.domain.first_contact_observations import (
    Json,
    delta_traits,
    error_traits,
    member_state_traits,
    observe,
    organization_traits,
    processing_traits,
    product_traits,
    retry_after_form,
    role_traits,
    rows,
    states,
)
from shared.handlers.operations.needs import Needs

TRY_AGAIN = frozenset({0, 429, 500, 502, 503, 504})
"""Answers that say nothing about the request (learn.microsoft.com/graph/errors)."""

TRIES = 3
LONGEST_PAUSE_S = 20.0
MEMBERS_OF_MOST = 5
"""Users whose groups are read to find a group with members."""

Traits = Callable[[Any], Mapping[str, str]]
Learn = Callable[[Subject, Any], Subject]


class StoppedError(Exception):
    """The run cannot go on, for a reason that a person must know."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Waiting times, seconds.

    `settle_s`: from the start of a run to its first write, so that every worker knows the test users. `pause_s`: before
    a read that must show a write. `tick_s`: times of licenses have whole seconds. `again_s`: for a changed time to
    appear. `lag_s`: for a write to appear. `restored_s`: between two reads that must agree after an interruption.
    `drain_s`: for the level of a limit to fall. `contended_s`: before a write is sent again that was rejected because
    of others; a tenant that accepts one at a time was seen to be busy for half a minute after it.
    """

    settle_s: float = 30.0
    pause_s: float = 2.0
    tick_s: float = 2.0
    again_s: float = 10.0
    lag_s: float = 90.0
    restored_s: float = 15.0
    drain_s: float = 6.0
    contended_s: tuple[float, ...] = (1.0, 4.0, 10.0, 20.0, 35.0)


class Prober:
    """Sends the requests of one run and saves what it observes."""

    def __init__(self, world: Needs, run: Run, version: str, pace: Pace) -> None:
        self.world = world
        self.run = run
        self.pace = pace
        self._version = version

    async def save(self, run: Run, *, hold: bool = True) -> None:
        """Save the run and hold it for longer. Raises Conflict if another process has continued it."""
        now = self.world.clock.now()
        run = replace(run, updated_at=now, lease_until=now + LEASE if hold and run.state.is_open else None)
        self._version = await self.world.stores.first_contact.save(run, self._version)
        self.run = run

    async def probe(self, step: str, traits: Traits | None = None, learn: Learn | None = None) -> Answer | None:
        """One read and its observation. None: it was made before, or the run has sent its last request."""
        if step in self.run.observations:
            return None
        answer = await self.send(step)
        if answer is None:
            return None
        subject = learn(self.run.subject, answer.body) if learn and answer.ok else self.run.subject
        seen = observe(answer, traits(answer.body) if traits and answer.ok else None)
        await self.note(step, seen, subject)
        return answer

    async def note(self, step: str, seen: Observation, subject: Subject | None = None) -> None:
        await self.save(replace(self.run.seen(step, seen), step=step, subject=subject or self.run.subject))

    async def send(self, name: str, subject: Subject | None = None) -> Answer | None:
        """The answer to one read; an answer that says nothing is asked for again. None: no requests are left."""
        answer: Answer | None = None
        for attempt in range(TRIES):
            if self.run.requests >= self.run.level.most_requests:
                return answer
            self.run = replace(self.run, requests=self.run.requests + 1)
            answer = await self.world.probes.ask(name, subject or self.run.subject)
            if answer.status not in TRY_AGAIN or attempt == TRIES - 1:
                break
            await self.world.clock.sleep(_pause(answer, attempt))
        return answer

    async def settle(self) -> None:
        """Wait until every worker knows the test users."""
        settled = self.run.created_at + timedelta(seconds=self.pace.settle_s)
        await self.world.clock.sleep(max(0.0, (settled - self.world.clock.now()).total_seconds()))

    async def read_only(self) -> None:
        """Everything that reads can show."""
        await self.probe("organization", organization_traits)
        await self.probe("subscribedSkus", product_traits, _learn_product)
        users = await self.probe("users", error_traits, _learn_users)
        await self._find_group(users)
        subject = self.run.subject
        if subject.user_id:
            await self.probe("getByIds")
        if subject.group_id:
            await self.probe("latestFilter")
            await self.probe("deltaEnumerated", delta_traits, self._learn_link)
        if "oldLink" in subject.links:
            await self.probe("oldLink")
        for step in ("countFilter", "anyFilter", "licensedGroups"):
            await self.probe(step, processing_traits, _learn_licensed_group)
        await self.probe("licenseErrorsFilter")
        if subject.group_id:
            await self.probe("memberStates", lambda body: {**member_state_traits(body), **error_traits(body)})
        if self.run.subject.licensed_group_id:
            await self.probe("membersInError", error_traits)
        for step in ("badId", "laterDependency", "absoluteAddress", "otherCase"):
            await self.probe(step)
        if subject.sku_id:
            await self.probe("usersByProduct")
        await self.probe("search")
        await self.probe("roles", role_traits)
        await self.probe("roleEligibility")

    async def _find_group(self, users: Answer | None) -> None:
        """A group with members: of the users that were read, the first who is in one."""
        if self.run.subject.group_id or "memberOf" in self.run.observations or users is None or not users.ok:
            return
        last: Answer | None = None
        subject = self.run.subject
        for each in rows(users.body)[:MEMBERS_OF_MOST]:
            tried = replace(self.run.subject, user_id=str(each.get("id")))
            last = await self.send("memberOf", tried)
            if last is None or not last.ok:
                break
            group = next((row for row in rows(last.body) if _is_group(row)), None)
            if group is not None:
                subject = replace(tried, group_id=str(group["id"]))
                break
        if last is not None:
            await self.note("memberOf", observe(last), subject)

    def _learn_link(self, subject: Subject, body: Any) -> Subject:
        """The first link is kept until it has expired, which a later run observes."""
        link = body.get("@odata.deltaLink")
        if "kept" in subject.links or not isinstance(link, str):
            return subject
        kept = {"kept": self.path_of(link), "keptAt": self.run.created_at.isoformat()}
        return replace(subject, links={**subject.links, **kept})

    def path_of(self, link: str) -> str:
        """Raises StoppedError for a link to another host."""
        try:
            return self.world.probes.path_of(link)
        except Unavailable as fault:
            raise StoppedError(f"Graph returned a link that the app does not follow: {fault}") from fault

    def since(self, began: Any) -> float:
        """Seconds since a time."""
        elapsed: timedelta = self.world.clock.now() - began
        return max(0.0, elapsed.total_seconds())


def _pause(answer: Answer, attempt: int) -> float:
    asked = answer.headers.get("retry-after", "")
    pause = float(asked) if asked and retry_after_form(asked) != "date" else 1.0 + 2.0 * attempt
    return min(pause, LONGEST_PAUSE_S)


def _is_group(row: Json) -> bool:
    kind = row.get("@odata.type")
    return kind in (None, "#microsoft.graph.group") and isinstance(row.get("id"), str)


def _learn_product(subject: Subject, body: Any) -> Subject:
    """A product that users have, else the first one."""
    found = sorted(rows(body), key=lambda each: -(each.get("consumedUnits") or 0))
    return replace(subject, sku_id=str(found[0].get("skuId")).lower()) if found else subject


def _learn_users(subject: Subject, body: Any) -> Subject:
    """A user, if possible one whom a group licenses, and that group."""
    users = rows(body)
    if not users:
        return subject
    for user in users:
        for row in states([user]):
            if isinstance(row.get("assignedByGroup"), str):
                group_id = str(row["assignedByGroup"]).lower()
                user_id = str(user.get("id"))
                return replace(
                    subject, user_id=user_id, licensed_group_id=group_id, group_id=subject.group_id or group_id
                )
    return replace(subject, user_id=str(users[0].get("id")))


def _learn_licensed_group(subject: Subject, body: Any) -> Subject:
    if subject.licensed_group_id:
        return subject
    found = next((each for each in rows(body) if each.get("assignedLicenses")), None)
    return subject if found is None else replace(subject, licensed_group_id=str(found.get("id")).lower())
