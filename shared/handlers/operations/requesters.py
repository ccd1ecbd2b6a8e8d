"""Whose request has brought about the removals that the app asks an approval for.

A person's request ends when a newer one takes its place. Its remaining removals are then held, and the app asks for
an approval. They are still a request of that person, so the rules of two people count. The same is true of an option
that leaves members without licenses.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.ids import GroupId, OperationId, SkuId
from shared.domain.initiator import InitiatorKind
from shared.domain.operation import HELD, Operation, PlanSummary
from shared.ports.stores import AssignmentStore, OperationStore, SnapshotStore


class Stores(Protocol):
    """The tables that say who requested what."""

    @property
    def assignments(self) -> AssignmentStore: ...

    @property
    def operations(self) -> OperationStore: ...

    @property
    def snapshots(self) -> SnapshotStore: ...


class Needs(Protocol):
    """Less than `needs.Needs`: the pages of approvals call this module too, and they cannot write."""

    @property
    def stores(self) -> Stores: ...


async def requesters(world: Needs, operation: Operation) -> frozenset[str]:
    """Object IDs of the people whose requests have brought about what an approval of the app lists."""
    if operation.cause != HELD:
        return frozenset()
    people = set[str]()
    for group_id in await _groups(world, operation):
        versions = await world.stores.assignments.history(group_id)
        people |= _who_left_out(versions)
        for cause in _causes(versions, operation.plan):
            found = await world.stores.operations.get(cause)
            if found is not None and found.initiator.kind is InitiatorKind.USER:
                people.add(found.initiator.id)
    return frozenset(people)


async def _groups(world: Needs, operation: Operation) -> list[GroupId]:
    """The groups whose claims end: that of the approval, or those in the list of the tenant's approval."""
    if operation.target.group_id is not None:
        return [operation.target.group_id]
    found = set[GroupId]()
    for number in range(operation.pages):
        page = await world.stores.snapshots.page(operation.id, operation.snapshot_id, number)
        ended = (
            claim for place in range(len(page.user_ids)) for _, claims in page.action(place).claims for claim in claims
        )
        found |= {claim.source.group_id for claim in ended if claim.source.group_id}
    return sorted(found)


def _who_left_out(versions: Sequence[GroupLicenseAssignment]) -> set[str]:
    """The people whose options leave members of the group without licenses now. `versions`: newest first."""
    found = set[str]()
    open_cuts = versions[0].options.left_out if versions else frozenset()
    for newer, older in pairwise(versions):
        made = open_cuts - older.options.left_out
        open_cuts -= made
        if made and newer.changed_by_id:
            found.add(newer.changed_by_id)
    return found


def _causes(versions: Sequence[GroupLicenseAssignment], plan: PlanSummary) -> list[OperationId]:
    """The operations that made the group assign less of what a plan takes. `versions`: newest first. A product that the
    group still assigns as a whole is lost by former members."""
    if not versions:
        return []
    given = {sku.sku_id for sku in versions[0].skus}
    concerned = (set(plan.removals) - given) | (given if plan.plans_off else set())
    found = [_newest_cut(versions, sku_id) for sku_id in sorted(concerned)]
    return sorted({each for each in found if each is not None})


def _newest_cut(versions: Sequence[GroupLicenseAssignment], sku_id: SkuId) -> OperationId | None:
    """The operation that last took a product, or an app of it, from what the group assigns."""
    for newer, older in pairwise(versions):
        after, before = newer.sku(sku_id), older.sku(sku_id)
        if before is not None and (after is None or after.disabled_plans - before.disabled_plans):
            return newer.operation_id
    return None
