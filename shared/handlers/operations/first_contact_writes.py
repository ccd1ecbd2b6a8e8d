"""The writes of a basic run: one test user, one test group, at most 12 writes, and the prior state afterwards.

Before the first write, the run has stored that the test objects may differ (`dirty`), so a run that was interrupted
restores them first. The prior state is always the same, since a run starts with nothing else: no license, no group.
Only the usage location is kept. A part that was begun is not begun again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.domain.errors import Unavailable
from shared.domain.first_contact import Answer, Run, Subject
from shared.domain.first_contact_load import is_contended
from shared.domain.first_contact_observations import Json, available, error_traits, observe, rows
from shared.handlers.operations.first_contact_probes import Prober, StoppedError
from shared.handlers.operations.first_contact_room import WriteRoom

WAITS_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0)
PAGES = 3
"""Pages of a delta round that are read."""

ROUNDS = 8
"""Attempts to restore in one go; the next process tries again."""


@dataclass(frozen=True, slots=True)
class Found:
    """The present state of the test objects. `location`: empty for none."""

    licensed: bool
    location: str
    member: bool
    group_licensed: bool


class Writer:
    """The part of a run that writes."""

    def __init__(self, prober: Prober) -> None:
        self._prober = prober
        self._room = WriteRoom(prober.world)

    async def basic(self) -> None:
        """Raises StoppedError if the test objects are not fit, Unavailable if they cannot be restored now."""
        run = self._prober.run
        if run.dirty:
            await self.restore(rounds_apart_s=self._prober.pace.restored_s)
        await self._check_subject()
        await self._prober.settle()
        for first, part in (
            ("partial", self._licenses),
            ("latest", self._group),
            ("locationUk", self._location),
            ("groupUnknownSku", self._group_product),
        ):
            if first not in self._prober.run.observations:
                await part()
                await self.restore()

    async def _check_subject(self) -> None:
        """The test objects must be unused, and the product available. Raises StoppedError that names the reason.

        A group in use gives its members access to something. The run makes the test user a member of the group for a
        while, so a group with members, with a role, or inside another group is rejected.
        """
        run = self._prober.run
        if run.subject.prior_location is not None:
            return
        user, group = await self._read("testUser"), await self._read("testGroup")
        groups, roles = await self._read("testGroups"), await self._read("testRoles")
        members, parents = await self._read("testGroupMembers"), await self._read("testGroupParents")
        products = await self._read("subscribedSkus")
        body: Any = user.body
        faults = [
            ("The test user has licenses.", bool(body.get("licenseAssignmentStates"))),
            ("The test user is in a group or role.", bool(rows(groups.body))),
            ("The test user has a directory role.", has_role(roles, run.subject.test_user_id)),
            ("The test group has licenses.", bool(_body(group).get("assignedLicenses"))),
            ("The test group is not security-enabled.", _body(group).get("securityEnabled") is not True),
            ("The test group can have a role.", _body(group).get("isAssignableToRole") is True),
            ("The test group has members.", bool(rows(members.body))),
            ("The test group is in another group.", bool(rows(parents.body))),
            ("The product has no available license.", available_licenses(products, run.subject.test_sku_id) < 1),
        ]
        named = [text for text, is_fault in faults if is_fault]
        if named:
            raise StoppedError(" ".join(named))
        location = str(body.get("usageLocation") or "")
        if not location:
            raise StoppedError("The test user has no usage location.")
        await self._prober.save(replace(self._prober.run, subject=replace(run.subject, prior_location=location)))

    async def _read(self, name: str) -> Answer:
        """Raises StoppedError if the answer is an error, Unavailable if there is none."""
        answer = await self._prober.send(name)
        if answer is None or answer.status == 0 or answer.status >= 500 or answer.status == 429:
            raise Unavailable(30, f"the first-contact check cannot read {name}")
        if not answer.ok:
            raise StoppedError(f"Graph answered {answer.status} to the read {name}. {observe(answer).text}".strip())
        return answer

    async def _write(self, step: str, *, restores: bool = False) -> bool:
        """Send a write and note its observation. False: it was not sent or had no success.

        A rejection because of other writes in flight says nothing, and wrote nothing: the write is sent again.
        """
        prober = self._prober
        if not restores and prober.run.writes + 2 > prober.run.level.most_writes:  # room for the write that undoes it
            return False
        answer: Answer | None = None
        for wait_s in (*prober.pace.contended_s, None):
            if prober.run.requests >= prober.run.level.most_requests:
                break
            answer = await self.sent(step, replace(prober.run, dirty=True))
            if wait_s is None or not is_contended(answer):
                break
            await prober.world.clock.sleep(wait_s)
        if answer is None:
            return False
        await prober.note(step, observe(answer, {"contended": "yes"} if is_contended(answer) else None))
        return answer.ok

    async def sent(self, step: str, run: Run) -> Answer:
        """The answer to one write, with room for it reserved. The run is saved before it is sent. Writes that are
        rejected because of others are counted as requests only."""
        prober = self._prober
        async with self._room.reserved(step, run.subject) as room:
            await prober.save(replace(run, writes=run.writes + 1, requests=run.requests + 1, step=step))
            answer = await prober.world.probes.ask(step, run.subject)
            room.answers = [answer]
        if is_contended(answer):
            prober.run = replace(prober.run, writes=prober.run.writes - 1)
        return answer

    async def _licenses(self) -> None:
        prober, sku = self._prober, self._prober.run.subject.test_sku_id
        await self._write("partial")
        await prober.world.clock.sleep(prober.pace.pause_s)
        await prober.probe("afterPartial", lambda body: {"license": "present" if licensed(body, sku) else "absent"})
        await self._write("unknownPlan")
        if not await self._write("assign"):
            return
        first = await self._wait("visible", "testUser", lambda body: _shown(body, sku), prober.pace.lag_s)
        if first is None:
            return
        await prober.world.clock.sleep(prober.pace.tick_s)
        if await self._write("assignAgain"):
            before = _time(first, sku)

            def moved(body: Any) -> Mapping[str, str]:
                return {"time": "moves"} if _time(body, sku) not in ("", before) else {}

            await self._wait("again", "testUser", moved, prober.pace.again_s, otherwise={"time": "keeps"})
        await self._write("removeUnknown")
        if await self._write("remove"):
            gone = {"license": "absent"}
            await self._wait("gone", "testUser", lambda body: {} if licensed(body, sku) else gone, prober.pace.lag_s)

    async def _group(self) -> None:
        """The same change by two delta links: one of `latest`, and one that an enumeration ended with."""
        prober = self._prober
        filtered = prober.run.observations.get("latestFilter")
        if filtered is not None and filtered.ok:
            links = {**prober.run.subject.links, "filter": "yes"}
            prober.run = replace(prober.run, subject=replace(prober.run.subject, links=links))
        for name in ("latest", "enumerated"):
            if not await self._begin(name):
                return
        if not await self._write("join"):
            return
        for step, longest in (("changesEnumerated", prober.pace.lag_s), ("changesLatest", prober.pace.again_s)):
            await self._wait(step, step, self._reported, longest, otherwise={"change": "missing"}, pages=PAGES)
        await self._write("leave", restores=True)

    async def _begin(self, name: str) -> bool:
        """Follow a delta round to its end and keep the link to the next one."""
        prober = self._prober
        answer = await prober.send(name)
        for _ in range(PAGES):
            link = _body(answer).get("@odata.nextLink")
            if not isinstance(link, str):
                break
            step = "changesLatest" if name == "latest" else "changesEnumerated"
            answer = await prober.send(step, self._with_link(name, link))
        if answer is None:
            return False
        link = _body(answer).get("@odata.deltaLink")
        is_complete = answer.ok and isinstance(link, str)
        subject = self._with_link(name, link) if is_complete else prober.run.subject
        await prober.note(name, observe(answer), subject)
        return is_complete

    def _with_link(self, name: str, link: object) -> Subject:
        subject = self._prober.run.subject
        return replace(subject, links={**subject.links, name: self._prober.path_of(str(link))})

    def _reported(self, body: Any) -> Mapping[str, str]:
        subject = self._prober.run.subject
        for group in rows(body):
            if str(group.get("id")).lower() == subject.test_group_id:
                members = group.get("members@delta") or ()
                if any(str(each.get("id")).lower() == subject.test_user_id for each in members):
                    return {"change": "reported"}
        return {}

    async def _location(self) -> None:
        if await self._write("locationUk"):
            await self._write("restoreLocation", restores=True)

    async def _group_product(self) -> None:
        if await self._write("groupUnknownSku"):
            await self._write("restoreGroup", restores=True)

    async def _wait(
        self,
        step: str,
        name: str,
        traits: Callable[[Any], Mapping[str, str]],
        longest_s: float,
        *,
        otherwise: Mapping[str, str] | None = None,
        pages: int = 1,
    ) -> Any:
        """Read until the answer has the traits, or for so long. Returns that body, None if there was none. The seconds
        of the observation are those since the first read."""
        prober, began, answer = self._prober, self._prober.world.clock.now(), None
        for wait_s in WAITS_S:
            if wait_s and prober.since(began) + wait_s > longest_s:
                break
            await prober.world.clock.sleep(wait_s)
            answer = await prober.send(name)
            if answer is None:
                return None
            found = traits(answer.body) if answer.ok else {}
            page = answer
            for _ in range(pages - 1):
                link = _body(page).get("@odata.nextLink")
                if found or not isinstance(link, str):
                    break
                key = "latest" if name == "changesLatest" else "enumerated"
                page = await prober.send(name, self._with_link(key, link)) or page
                found = traits(page.body) if page.ok else {}
            if found:
                good = error_traits({"value": [answer.body]}) if name == "testUser" else {}
                seen = replace(observe(answer, {**good, **found}), seconds=round(prober.since(began), 1))
                await prober.note(step, seen)
                return answer.body
        if answer is not None:
            await prober.note(step, replace(observe(answer, otherwise), seconds=round(longest_s + 1, 1)))
        return None

    async def restore(self, rounds_apart_s: float = 0.0) -> None:
        """Undo every difference until two reads in a row show none. Raises Unavailable if that cannot be done now."""
        clean = 0
        for number in range(ROUNDS):
            found = await self._found()
            undo = self._undo(found)
            if not undo:
                clean += 1
                if clean == 2:
                    await self._prober.save(replace(self._prober.run, dirty=False))
                    return
                await self._prober.world.clock.sleep(rounds_apart_s)
                continue
            clean = 0
            if number == 0 and not rounds_apart_s:
                # What this process has undone just now can take a moment to show.
                await self._prober.world.clock.sleep(self._prober.pace.pause_s)
                continue
            for name in undo:
                await self._restoring(name)
            await self._prober.world.clock.sleep(min(0.2 * 2**number, 10.0))
        raise Unavailable(60, "the first-contact check cannot restore the test user and group yet")

    async def _restoring(self, name: str) -> None:
        await self.sent(name, self._prober.run)

    async def _found(self) -> Found:
        """Read past the limit of requests: restoring must not stop there. Raises Unavailable."""
        prober, subject = self._prober, self._prober.run.subject
        answers = []
        for name in ("testUser", "testGroups", "testGroup"):
            prober.run = replace(prober.run, requests=prober.run.requests + 1)
            answer = await prober.world.probes.ask(name, subject)
            if not answer.ok:
                raise Unavailable(60, f"the first-contact check cannot read {name}: status {answer.status}")
            answers.append(answer)
        user, groups, group = answers
        ids = {str(each.get("id")).lower() for each in rows(groups.body)}
        return Found(
            licensed(user.body, subject.test_sku_id),
            str(_body(user).get("usageLocation") or ""),
            subject.test_group_id in ids,
            bool(_body(group).get("assignedLicenses")),
        )

    def _undo(self, found: Found) -> list[str]:
        prior = self._prober.run.subject.prior_location
        differs = prior is not None and found.location != prior
        steps = (
            ("remove", found.licensed),
            ("leave", found.member),
            ("restoreLocation", differs),
            ("restoreGroup", found.group_licensed),
        )
        return [name for name, is_needed in steps if is_needed]


def _body(answer: Answer | None) -> Mapping[str, Any]:
    body = answer.body if answer is not None else None
    return body if isinstance(body, Mapping) else {}


def _row(body: Any, sku_id: str) -> Json | None:
    found = body.get("licenseAssignmentStates") or () if isinstance(body, Mapping) else ()
    return next(
        (each for each in found if str(each.get("skuId")).lower() == sku_id and not each.get("assignedByGroup")), None
    )


def licensed(body: Any, sku_id: str) -> bool:
    """Whether a user has a product directly."""
    return _row(body, sku_id) is not None


def _shown(body: Any, sku_id: str) -> Mapping[str, str]:
    return {"license": "present"} if licensed(body, sku_id) else {}


def _time(body: Any, sku_id: str) -> str:
    row = _row(body, sku_id)
    return str(row.get("lastUpdatedDateTime") or "") if row is not None else ""


def has_role(answer: Answer, user_id: str) -> bool:
    """Whether a user is in the answer about role assignments."""
    return any(str(each.get("principalId")).lower() == user_id for each in rows(answer.body))


def available_licenses(answer: Answer, sku_id: str) -> int:
    """Licenses of a product that can be assigned to users; 0 if the tenant does not have it."""
    return sum(available(each) for each in rows(answer.body) if str(each.get("skuId")).lower() == sku_id)
