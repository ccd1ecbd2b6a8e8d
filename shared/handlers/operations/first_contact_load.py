"""The writes of a load run: one license for 20 test users, in batches of 1, 2, 5 and 20, and removed together.

The prior state is known before the first write: the test users have no license, group or role. The run has stored that
they may differ (`dirty`) before each batch. A run that was interrupted removes the licenses first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from shared.domain.errors import Unavailable
from shared.domain.first_contact import Answer
from shared.domain.first_contact_load import (
    STAGES,
    USERS,
    WIDE_REMOVAL,
    exclusion_form,
    is_contended,
    items,
    level_of,
    number,
    observe_batch,
    quota_kind,
    rival_of,
)
from shared.domain.first_contact_observations import error_of, observe, rows
from shared.handlers.operations.first_contact_probes import Prober, StoppedError
from shared.handlers.operations.first_contact_room import WriteRoom
from shared.handlers.operations.first_contact_writes import available_licenses, has_role, licensed

ROUNDS = 8
"""Attempts to remove the licenses in one go; the next process tries again."""


class Loader:
    """The part of a load run that writes."""

    def __init__(self, prober: Prober) -> None:
        self._prober = prober
        self._room = WriteRoom(prober.world)
        self._level: float | None = None

    async def load(self) -> None:
        """Raises StoppedError if the test users are not fit, Unavailable if they cannot be restored now."""
        prober = self._prober
        if prober.run.dirty:
            await self._restore()
        await self._check()
        await prober.settle()
        users, first = prober.run.subject.test_user_ids, 0
        for step, count in STAGES.items():
            chosen = users[first : first + count] if count < USERS else users
            first += count
            if step not in prober.run.observations and not await self._stage(step, chosen):
                break
        await self._drain()
        await self._exclude()
        await self._restore()

    async def _check(self) -> None:
        """The test users must be unused, and the product available for all. Raises StoppedError that names the
        reason."""
        subject = self._prober.run.subject
        if subject.is_checked:
            return
        users, groups, roles = [await self._read(name) for name in ("loadUsers", "loadGroups", "loadRoles")]
        products = await self._prober.send("subscribedSkus")
        if products is None or not products.ok:
            raise Unavailable(30, "the first-contact check cannot read subscribedSkus")
        bodies: list[Any] = [each.body for each in users]
        pairs = list(zip(subject.test_user_ids, roles, strict=True))
        counted = (
            ("have licenses", sum(bool(each.get("licenseAssignmentStates")) for each in bodies)),
            ("have no usage location", sum(not each.get("usageLocation") for each in bodies)),
            ("are in a group or role", sum(bool(rows(each.body)) for each in groups)),
            ("have a directory role", sum(has_role(answer, user_id) for user_id, answer in pairs)),
        )
        faults = [f"{count} of the test users {what}." for what, count in counted if count]
        if available_licenses(products, subject.test_sku_id) < USERS:
            faults.append(f"The product has fewer than {USERS} available licenses.")
        if faults:
            raise StoppedError(" ".join(faults))
        rival = rival_of(products.body, subject.test_sku_id)
        subject = replace(subject, is_checked=True, rival_sku_id=rival)
        await self._prober.save(replace(self._prober.run, subject=subject))

    async def _read(self, name: str) -> list[Answer]:
        """The answers about each test user. Raises StoppedError if one is an error, Unavailable if one is missing."""
        answer = await self._prober.send(name)
        found = items(answer or Answer(0), USERS)
        if any(each.status in (0, 429) or each.status >= 500 for each in found):
            raise Unavailable(30, f"the first-contact check cannot read {name}")
        for each in found:
            if not each.ok:
                raise StoppedError(f"Graph answered {each.status} to the read {name}. {observe(each).text}".strip())
        return found

    async def _stage(self, step: str, user_ids: Sequence[str]) -> bool:
        """Assign the license to these users at once. False: the run has no more writes, or none had success."""
        run, pace = self._prober.run, self._prober.pace
        if run.writes + len(user_ids) + USERS > run.level.most_writes:  # room for the writes that undo it
            return False
        answer = await self._sent("loadAssign", step, user_ids)
        seen = observe_batch(answer, len(user_ids))
        self._level = level_of(items(answer, len(user_ids)))
        await self._prober.note(step, seen)
        if number(seen, "concurrent"):
            await self._prober.world.clock.sleep(pace.contended_s[-1])
            return True
        return number(seen, "accepted") > 0

    async def _sent(self, name: str, step: str, user_ids: Sequence[str], sku_id: str = "") -> Answer:
        """The answer to a batch of writes of a product, with room for them reserved. The run is saved before it is
        sent."""
        prober = self._prober
        run = prober.run
        sku_id = sku_id or run.subject.test_sku_id
        subject = replace(run.subject, test_user_ids=tuple(user_ids), test_sku_id=sku_id)
        async with self._room.reserved(name, subject, len(user_ids)) as room:
            writes, requests = run.writes + len(user_ids), run.requests + 1
            await prober.save(replace(run, dirty=True, writes=writes, requests=requests, step=step))
            answer = await prober.world.probes.ask(name, subject)
            room.answers = items(answer, len(user_ids))
        return answer

    async def _drain(self) -> None:
        """If the last answers said how full the limit is, write once more after a pause, to see whether it drains."""
        prober, before = self._prober, self._level
        if before is None or prober.run.writes + USERS + 1 > prober.run.level.most_writes:
            return
        await prober.world.clock.sleep(prober.pace.drain_s)
        answer = await self._sent("loadAssign", "level", prober.run.subject.test_user_ids[:1])
        seen, kind = observe_batch(answer, 1), quota_kind(before, level_of(items(answer, 1)))
        await prober.note("level", replace(seen, traits={**seen.traits, **({"quota": kind} if kind else {})}))

    async def _exclude(self) -> None:
        """Assign a product to one user who has another that excludes it: the rejection shows the wording."""
        prober, subject = self._prober, self._prober.run.subject
        is_done = "exclusive" in prober.run.observations or prober.run.writes + USERS + 2 > prober.run.level.most_writes
        if not subject.rival_sku_id or is_done:
            return
        answer = await self._sent("loadAssign", "exclusive", subject.test_user_ids[:1], subject.rival_sku_id)
        (item,) = items(answer, 1)
        form = exclusion_form(error_of(item.body)[1])
        seen = observe_batch(answer, 1)
        await prober.note("exclusive", replace(seen, traits={**seen.traits, **({"exclusion": form} if form else {})}))

    async def _restore(self) -> None:
        """Remove the licenses until two reads in a row show none. Raises Unavailable if that cannot be done now.

        A write can take seconds to show, also to both of two reads that follow each other at once.
        """
        prober, clean = self._prober, 0
        await prober.world.clock.sleep(prober.pace.pause_s)
        for attempt in range(ROUNDS):
            found = await self._licensed()
            if not found:
                clean += 1
                if clean == 2:
                    await prober.save(replace(prober.run, dirty=False))
                    return
                await prober.world.clock.sleep(prober.pace.restored_s)
                continue
            clean = 0
            await self._remove(found)
            await prober.world.clock.sleep(min(0.2 * 2**attempt, 10.0))
        raise Unavailable(60, "the first-contact check cannot restore the test users yet")

    async def _remove(self, found: Sequence[tuple[str, str]]) -> None:
        """Together the first time, then one by one: a tenant that rejects writes beside others accepts those."""
        prober, test_sku_id = self._prober, self._prober.run.subject.test_sku_id
        together = [user_id for user_id, sku_id in found if sku_id == test_sku_id]
        if WIDE_REMOVAL not in prober.run.observations and together:
            answer = await self._sent("loadRemove", WIDE_REMOVAL, together)
            await prober.note(WIDE_REMOVAL, observe_batch(answer, len(together)))
            return
        for user_id, sku_id in found:
            for wait_s in (*prober.pace.contended_s, None):
                (answer,) = items(await self._sent("loadRemove", "remove", [user_id], sku_id), 1)
                if wait_s is None or not is_contended(answer):
                    break
                await prober.world.clock.sleep(wait_s)

    async def _licensed(self) -> list[tuple[str, str]]:
        """Test users with the product that they have. Read past the limit of requests: restoring must not stop
        there."""
        prober, subject = self._prober, self._prober.run.subject
        prober.run = replace(prober.run, requests=prober.run.requests + 1)
        found = items(await prober.world.probes.ask("loadUsers", subject), USERS)
        if not all(each.ok for each in found):
            raise Unavailable(60, "the first-contact check cannot read the test users")
        pairs, skus = list(zip(subject.test_user_ids, found, strict=True)), (subject.rival_sku_id, subject.test_sku_id)
        return [(user_id, sku) for sku in skus if sku for user_id, each in pairs if licensed(each.body, sku)]
