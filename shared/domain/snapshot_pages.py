"""Snapshot pages: the users of an operation, read once, sorted by id, each with the planned change.

A page is a fixed list; a chunk is a fixed piece of the due users of a page. Both are functions of the stored rows
alone, so a restart, a duplicate or a late message can only name the same work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.domain.budget import writes_for
from shared.domain.directory import AssignedLicense
from shared.domain.ids import NO_PLANS, OperationId, Plans, SkuId, UserId
from shared.domain.outcomes import OutcomeClass
from shared.domain.permit import Claim
from shared.domain.predicted_errors import PredictedError

LEFT = "left"
"""Note of a user in the snapshot who left the group and still has a row as a member."""

PAGE_SIZE = 1000
"""Users a snapshot page holds at most: 16 bytes an id keep a page at 16 KB, far below the 64 KiB of a binary property.
"""


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """The planned change of a user. `due` users get a chunk; the others are counted as `expected` at once."""

    due: bool
    expected: OutcomeClass = OutcomeClass.UNCHANGED
    add: tuple[AssignedLicense, ...] = ()
    remove: tuple[SkuId, ...] = ()
    plans_off: tuple[AssignedLicense, ...] = ()
    """SKUs with the plans that are on now and will be turned off: a removal too."""
    usage_location: str | None = None
    notes: tuple[str, ...] = ()
    errors: tuple[PredictedError, ...] = ()
    claims: tuple[tuple[SkuId, tuple[Claim, ...]], ...] = ()
    """Of the SKUs of `remove` and `plans_off` that need a permit: the claims that ended, which an approval names."""

    @property
    def removes(self) -> bool:
        return bool(self.skus_losing)

    @property
    def skus_losing(self) -> frozenset[SkuId]:
        """SKUs that go, or of which plans go off."""
        return frozenset((*self.remove, *(off.sku_id for off in self.plans_off)))

    def plans_losing(self, sku_id: SkuId) -> Plans | None:
        """The plans of a SKU that go off; no plans: the whole SKU goes. None: nothing of it."""
        if sku_id in self.remove:
            return NO_PLANS
        return next((off.disabled_plans for off in self.plans_off if off.sku_id == sku_id), None)

    @property
    def write_count(self) -> int:
        return writes_for(licenses=bool(self.add or self.remove), location=self.usage_location is not None)


@dataclass(frozen=True, slots=True)
class SnapshotPage:
    """One page: users sorted by id, and for each the index of its action in `actions` (few distinct ones)."""

    number: int
    user_ids: tuple[UserId, ...]
    actions: tuple[PlannedAction, ...]
    action_of: tuple[int, ...]
    first_chunk: int = 0
    """The number, through the whole operation, of the page's first chunk."""

    def action(self, position: int) -> PlannedAction:
        return self.actions[self.action_of[position]]

    @property
    def due(self) -> tuple[UserId, ...]:
        return tuple(user for user, index in zip(self.user_ids, self.action_of, strict=True) if self.actions[index].due)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A fixed piece of a snapshot page, at most `chunk_size` users of one ledger partition; `writes` are expected."""

    operation_id: OperationId
    page: int
    number: int
    user_ids: tuple[UserId, ...]
    writes: int


def errors_of(snapshot_id: str) -> str:
    """Where the pages of the users with predicted errors are kept, beside those of all users."""
    return f"{snapshot_id}-errors"


def partition_of(user_id: UserId) -> str:
    """The partition of a user's rows: the first hex digit of the id."""
    return user_id[0]


def pieces(user_ids: Sequence[UserId], size: int) -> list[tuple[UserId, ...]]:
    """Sorted ids cut into pieces of at most `size` users, none of which crosses a partition."""
    found: list[tuple[UserId, ...]] = []
    current: list[UserId] = []
    for user_id in user_ids:
        if current and (len(current) == size or partition_of(current[0]) != partition_of(user_id)):
            found.append(tuple(current))
            current = []
        current.append(user_id)
    if current:
        found.append(tuple(current))
    return found


def chunks_of(operation_id: OperationId, page: SnapshotPage, size: int) -> list[Chunk]:
    """The chunks of a snapshot page, numbered on from its `first_chunk`."""
    writes = {user: page.action(position).write_count for position, user in enumerate(page.user_ids)}
    return [
        Chunk(operation_id, page.number, page.first_chunk + offset, users, sum(writes[user] for user in users))
        for offset, users in enumerate(pieces(page.due, size))
    ]


def pages_of(planned: Iterable[tuple[UserId, PlannedAction]], chunk_size: int) -> list[SnapshotPage]:
    """Sealed pages of users with their actions; ids are deduplicated and sorted over all of them."""
    by_user = dict(planned)
    ids = sorted(by_user)
    pages: list[SnapshotPage] = []
    first_chunk = 0
    for start in range(0, len(ids), PAGE_SIZE):
        users = tuple(ids[start : start + PAGE_SIZE])
        index_of: dict[PlannedAction, int] = {}
        action_of = tuple(index_of.setdefault(by_user[user], len(index_of)) for user in users)
        page = SnapshotPage(len(pages), users, tuple(index_of), action_of, first_chunk)
        first_chunk += len(pieces(page.due, chunk_size))
        pages.append(page)
    return pages
