"""The steps of an operation on a natively licensed group, from the first call to the last member.

Each step reads the group, and decides from what it reads: a repeated, late or interrupted step makes no other call than
the one that is missing. A product is removed only when every member who has it has its replacement or a
bridge license, or when an approval names the member.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.domain.assignment import Engine, GroupLicenseAssignment
from shared.domain.audit import assignment_act, skus_text
from shared.domain.backoff import Backoff
from shared.domain.bridges import bridges_for
from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, DirectoryUser
from shared.domain.errors import BadRequest, NotFound, PermissionDenied
from shared.domain.ids import GroupId, UserId
from shared.domain.member_status import MemberState
from shared.domain.native_changes import (
    Decision,
    Forecast,
    NextCall,
    call_towards,
    decide,
    expected_to_fail,
    is_hurt,
    is_processed,
    takes_away,
    target_of,
    uncovered,
)
from shared.domain.native_members import from_group, watched_row
from shared.domain.native_progress import AGREE_AFTER, MOST_CALLS, PROCESS_FOR, NativeProgress, NativeStage
from shared.domain.operation import Operation, OperationError, OperationState, Phase, Totals
from shared.domain.snapshot_pages import PlannedAction
from shared.domain.write_results import LicenseCall, Rejected
from shared.handlers.groups.assignment_update import update_assignment
from shared.handlers.operations.group_calls import call_group
from shared.handlers.operations.native_operation import approved_losses, members_with_products, read_members
from shared.handlers.operations.needs import Needs
from shared.handlers.reconcile.enqueue import enqueue
from shared.handlers.reconcile.read import read_catalog
from shared.ports.native_licensing import LicensedGroup

READ_BACK = timedelta(seconds=2)
"""When the group is read after a call."""

FOLLOW = Backoff(timedelta(seconds=2), timedelta(minutes=4), share=0.2)
"""Time to the next read while members are processed. It stays below the time after which an operation counts as
stopped."""

MOST_WAIT = timedelta(minutes=4)

WAIT = Backoff(timedelta(seconds=15), MOST_WAIT, share=0.1)
"""Time to the next reading of the available licenses, or of members without a replacement."""

REREAD = timedelta(minutes=30)
"""How often members are read again while licenses are short; in between, only the licenses are."""

PROCESSING = ("QueuedForProcessing", "ProcessingInProgress")

WAITING_FOR_LICENSES = "WaitingForLicenses"
WAITING_FOR_REPLACEMENT = "WaitingForReplacement"
"""Codes that an operation shows while it waits. It continues automatically."""

log = logging.getLogger(__name__)


class Moved(NamedTuple):
    """The operation after a step, and the time to the next one; None: it is complete."""

    operation: Operation
    wait: timedelta | None


async def advance(world: Needs, operation: Operation) -> Moved:
    """Take one step. Raises NotFound, BadRequest if the operation cannot be done, PermissionDenied while the app may
    not change the group, Unavailable."""
    group_id, progress = operation.target.group_id, operation.native
    if group_id is None or progress is None or operation.cancel_requested_by is not None:
        return Moved(_counted(operation, operation.totals), None)
    stored = await world.stores.assignments.get(group_id)
    if stored is None or stored.assignment.engine is not Engine.NATIVE:
        raise BadRequest("NotManagedNatively", f"Group {group_id} is not managed natively any more.", "group")
    catalog, group = await read_catalog(world), await world.native.licensed_group(group_id)
    step = _Step(world, operation, progress, group_id, group, catalog)
    if progress.stage is NativeStage.CHECK:
        return await step.check()
    return await step.reach()


@dataclass(frozen=True, slots=True)
class _Step:
    """One step with the group as it was just read."""

    world: Needs
    operation: Operation
    progress: NativeProgress
    group_id: GroupId
    group: LicensedGroup
    catalog: Catalog

    @property
    def now(self) -> datetime:
        return self.world.clock.now()

    @property
    def products(self) -> tuple[AssignedLicense, ...]:
        return self.group.group.native_skus

    @property
    def _pause(self) -> timedelta:
        """Longer the longer the stage has waited."""
        return WAIT.after(self.now - (self.progress.since or self.now))

    async def check(self) -> Moved:
        """Decide about the first call, and make it at once: nothing may change between the two."""
        if not await self._may_have_enough():
            return self._later(self.progress, self._pause, self.operation.error)
        approved = await approved_losses(self.world, self.operation)
        decision, catalog = await self._decided(approved)
        if decision.next is NextCall.ASK:
            return Moved(again(self.operation, self.now), timedelta(seconds=5))
        progress = replace(self.progress, before=self.progress.before or self.products, checked_at=self.now)
        progress = replace(progress, since=progress.since or self.now)
        if decision.next is NextCall.WAIT:
            return self._wait_for_licenses(progress, decision, catalog)
        stage = NativeStage.ADD if decision.next is NextCall.ADD else NativeStage.APPLY
        begun = replace(progress.at(stage, self.now), calls=progress.calls, rejected=progress.rejected)
        return await replace(self, progress=begun).reach(is_checked=True)

    async def reach(self, *, is_checked: bool = False) -> Moved:
        """Make the call that is missing, or follow the members."""
        wanted, only = target_of(self.operation.change, self.progress, self.products)
        call = call_towards(self.products, wanted, self.catalog, only=only)
        if not call.add and not call.remove:
            return await self._follow()
        progress = replace(self.progress, seen=False)
        if progress.may_lag(self.now):
            return self._later(progress, READ_BACK)
        if progress.calls >= MOST_CALLS:
            text = f"The group does not stay as it was changed, after {progress.calls} calls. {progress.rejected}"
            raise BadRequest("GroupNotChanged", text.strip(), "group")
        if progress.stage is NativeStage.APPLY and not is_checked and takes_away(call, self.products):
            if not progress.added:
                # The former decision is old, so all members are read again.
                back = replace(progress.at(NativeStage.CHECK, self.now), calls=progress.calls)
                return await replace(self, progress=replace(back, rejected=progress.rejected)).check()
            waits = await self._not_replaced(progress)
            if waits is not None:
                return waits
        return await self._call(progress, call)

    async def _call(self, progress: NativeProgress, call: LicenseCall) -> Moved:
        answer = await call_group(self.world, self.group_id, call, self.operation.id, urgent=True)
        if isinstance(answer, datetime):
            return self._later(progress, max(timedelta(seconds=1), min(answer - self.now, MOST_WAIT)))
        if isinstance(answer, Rejected):
            if answer.status in (401, 403):
                raise PermissionDenied(answer.message or answer.code)
            if answer.status == 404:
                raise NotFound(answer.message or f"group {self.group_id}")
            if not call.remove or progress.rejected:
                raise BadRequest(answer.code or "Rejected", f"Graph rejected the change: {answer.message}", "group")
            # An earlier call that was not recorded may have removed the product; the next reads show it.
            return self._later(progress.called(self.now, answer.message), READ_BACK)
        return self._later(progress.called(self.now), READ_BACK)

    async def _follow(self) -> Moved:
        """The group is as the stage makes it: record it, and read how far the members are."""
        progress = self.progress
        if not progress.seen:
            await self._record_change()
            progress = replace(progress, seen=True)
        users = await read_members(self.world, self.group_id)
        complete = self.group.processing not in PROCESSING
        done = {
            key: is_processed(user, self.group_id, self.products, self.catalog, complete=complete)
            for key, user in users.items()
        }
        failed = sum(done[key] and _has_error(user, self.group_id) for key, user in users.items())
        is_over = complete and all(done.values())
        await self._record_members(users, all_of_them=is_over)
        totals = Totals(
            members=len(users),
            due=len(users),
            applied=sum(done.values()) - failed,
            failed=failed,
            wrote=sum(done.values()),
        )
        moved = replace(self, operation=replace(self.operation, totals=totals), progress=progress)
        if complete and self._may_undo and (hurt := await self._hurt(users)):
            return moved._undo(hurt)
        if is_over:
            return moved._next_stage()
        took = self.now - (progress.since or self.now)
        if took >= PROCESS_FOR:
            left = len(users) - sum(done.values())
            text = f"Microsoft's licensing has not processed {left:,} members within a day; nothing more was changed."
            raise BadRequest("NotProcessed", text, "group")
        return moved._later(progress, FOLLOW.after(took))

    @property
    def _may_undo(self) -> bool:
        """Whether the addition can be taken back without a loss: nothing was removed yet."""
        change, stage = self.operation.change, self.progress.stage
        only_adds = not takes_away(LicenseCall(change.add, change.remove), self.progress.before)
        return stage is NativeStage.ADD or (stage is NativeStage.APPLY and only_adds)

    def _undo(self, hurt: int) -> Moved:
        who = "1 member" if hurt == 1 else f"{hurt:,} members"
        log.warning("group addition is taken back group=%s members=%d", self.group_id, hurt)
        text = f"{who} lost the group's products, because a new product could not be assigned. It is taken back."
        error = OperationError("AdditionUndone", text, "See the errors of the members, then request the change again.")
        return self._later(self.progress.at(NativeStage.UNDO, self.now), timedelta(0), error)

    def _next_stage(self) -> Moved:
        """All members are processed."""
        error, stage = self.operation.error, self.progress.stage
        if stage is NativeStage.UNDO:
            raise BadRequest(error.code if error else "AdditionUndone", error.message if error else "", "group")
        if stage is NativeStage.ADD:
            return self._later(self.progress.at(NativeStage.APPLY, self.now), timedelta(0))
        return Moved(_counted(replace(self.operation, native=self.progress, error=None), self.operation.totals), None)

    async def _decided(self, approved: Mapping[UserId, PlannedAction]) -> tuple[Decision, Catalog]:
        users, catalog = await read_members(self.world, self.group_id), await read_catalog(self.world, 0.0)
        change = self.operation.change
        forecast = Forecast(self.group_id, self.products, change, catalog, self.now)
        expected = [*map(forecast.expected, users.values())]
        return decide(expected, self.products, change, catalog, approved), catalog

    async def _not_replaced(self, progress: NativeProgress) -> Moved | None:
        """How the removal waits; None: two reads agree that no member has an unapproved loss."""
        users, catalog = await read_members(self.world, self.group_id), await read_catalog(self.world, 0.0)
        forecast = Forecast(self.group_id, self.products, self.operation.change, catalog, self.now)
        approved = await approved_losses(self.world, self.operation)
        found = uncovered(map(forecast.reached, users.values()), approved, swap=bool(self.operation.change.add))
        if found:
            await self._record_members(users, all_of_them=False)
            await self._bridge([users[user_id] for user_id in found])
            who = "1 member does" if len(found) == 1 else f"{len(found):,} members do"
            text = f"{who} not have the new products yet. The former products stay for all members until then."
            remedy = "Correct the errors of these members, or cancel and request the removal alone, with an approval."
            self._end_if_too_long(text)
            error = OperationError(WAITING_FOR_REPLACEMENT, text, remedy)
            return self._later(replace(progress, verified_at=None), self._pause, error)
        verified_at = progress.verified_at or self.now
        left = AGREE_AFTER - (self.now - verified_at)
        return self._later(replace(progress, verified_at=verified_at), left) if left > timedelta(0) else None

    async def _bridge(self, members: Sequence[DirectoryUser]) -> None:
        """Members in error get the former products directly, so that their error does not hold up the others."""
        change = self.operation.change
        grants = [(user.id, each) for user in members for each in bridges_for(user, self.group_id, change)]
        if not grants:
            return
        await self.world.stores.grants.put(grants)
        await enqueue(self.world, sorted({user_id for user_id, _ in grants}), f"bridge-{self.operation.id}")

    async def _may_have_enough(self) -> bool:
        """Whether it is worth reading the members again: licenses are short, and as many as before were needed."""
        error, checked_at = self.operation.error, self.progress.checked_at
        waits = error is not None and error.code == WAITING_FOR_LICENSES
        if not waits or checked_at is None or self.now - checked_at >= REREAD:
            return True
        skus = {sku.sku_id: sku.available for sku in await self.world.directory.subscribed_skus(0.0)}
        return all(skus.get(sku_id, 0) >= n for sku_id, n in self.operation.plan.seats_needed.items())

    def _wait_for_licenses(self, progress: NativeProgress, decision: Decision, catalog: Catalog) -> Moved:
        missing = ", ".join(f"{n:,} of {catalog.name(sku_id)}" for sku_id, n in sorted(decision.short.items()))
        text = f"Licenses are missing: {missing}. With too few, members could lose the products that they have."
        self._end_if_too_long(text)
        remedy = "Buy licenses, or free some. The change then continues automatically. Or cancel it."
        return self._later(progress, self._pause, OperationError(WAITING_FOR_LICENSES, text, remedy))

    def _end_if_too_long(self, text: str) -> None:
        """Raises BadRequest if the operation has waited as long as an approval may."""
        began = self.progress.since or self.now
        if self.now - began >= timedelta(seconds=self.world.policy.approval_expires_s):
            raise BadRequest("WaitedTooLong", text, "group")

    async def _hurt(self, users: Mapping[UserId, DirectoryUser]) -> int:
        """Members who had a product of the group when it was read first, have none now, and were not approved."""
        suspects = {key for key, user in users.items() if is_hurt(user, self.group_id, self.progress.before)}
        if not suspects:
            return 0
        had = await members_with_products(self.world, self.operation)
        return len(suspects & had - expected_to_fail(await approved_losses(self.world, self.operation)))

    async def _record_members(self, users: Mapping[UserId, DirectoryUser], *, all_of_them: bool) -> None:
        """The rows that pages show: those in another state than before, or all."""
        store, now = self.world.stores.members, self.now
        assignment = GroupLicenseAssignment(self.group_id, engine=Engine.NATIVE, native=self.products)
        rows = [watched_row(user, assignment, now) for user in users.values()]
        if not all_of_them:
            known: Mapping[UserId, MemberState] = await store.states(self.group_id)
            rows = [row for row in rows if known.get(row.user_id) is not row.state]
        await store.record(rows)

    async def _record_change(self) -> None:
        """The group was read with the change: the audit log and the stored assignment follow."""
        operation, products = self.operation, self.products
        before, after = skus_text(self.progress.before), skus_text(products)
        act_id = f"{operation.id}-{self.progress.stage}"
        entry = assignment_act("Set group license", self.group_id, operation.initiator, self.now, before, after, act_id)
        await self.world.stores.audit.append([entry])

        def with_products(stored: GroupLicenseAssignment) -> GroupLicenseAssignment | None:
            same = stored.native == products or stored.engine is not Engine.NATIVE
            return None if same else replace(stored, native=products)

        await update_assignment(self.world, self.group_id, with_products)

    def _later(self, progress: NativeProgress, wait: timedelta, error: OperationError | None = None) -> Moved:
        """The same operation again. The reason of a wait is shown as long as it lasts."""
        if progress.stage is NativeStage.UNDO:
            error = error or self.operation.error
        moved = replace(self.operation, native=progress, error=error, state=OperationState.IN_PROGRESS)
        return Moved(replace(moved, progress_at=self.now), wait)


def again(operation: Operation, now: datetime) -> Operation:
    """The operation with a new snapshot, because members would have an unapproved loss."""
    return replace(
        operation,
        state=OperationState.QUEUED,
        phase=Phase.SNAPSHOT,
        approvals=(),
        approved_by=None,
        preview_id=None,
        native=NativeProgress(),
        progress_at=now,
        error=None,
    )


def _has_error(user: DirectoryUser, group_id: GroupId) -> bool:
    return any(row.error for row in from_group(user, group_id))


def _counted(operation: Operation, totals: Totals) -> Operation:
    return replace(operation, totals=totals, counted=totals)
