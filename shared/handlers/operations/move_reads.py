"""Reading the members of a group that moves, and the verdict about each of them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

from shared.domain.assignment import Engine, GroupLicenseAssignment
from shared.domain.catalog import Catalog
from shared.domain.desired_licenses import exclusion_of
from shared.domain.directory import DirectoryUser, ReadFailed
from shared.domain.errors import NotFound, PermissionDenied, Unavailable
from shared.domain.grant import Source, SourceKind, is_blocked
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.ledger_row import LedgerRow
from shared.domain.move import Direction, Move, to_remove
from shared.domain.move_members import Facts, MemberMove, MoveVerdict, to_direct, to_native
from shared.domain.removals import pending_skus
from shared.handlers.operations.direct_members import direct_member_pages
from shared.handlers.operations.native_members import members_in_error
from shared.handlers.operations.needs import Needs
from shared.handlers.reconcile.read import read_catalog

BY_HAND = "the direct license was changed outside this app, so only an approval removes it"


async def users_read(world: Needs, user_ids: Sequence[UserId], *, with_groups: bool = True) -> list[DirectoryUser]:
    """These users, without those who are gone. A user who could not be read must not look like one who has nothing.

    Raises PermissionDenied or Unavailable if a read failed.
    """
    reads = await world.directory.users(user_ids, with_groups=with_groups)
    if failed := [each for each in reads.values() if isinstance(each, ReadFailed)]:
        if any(each.denied for each in failed):
            raise PermissionDenied(failed[0].why)
        raise Unavailable(max(each.retry_after_s or 5.0 for each in failed), f"users of a move: {failed[0].why}")
    return [each for each in reads.values() if isinstance(each, DirectoryUser)]


@dataclass(frozen=True, slots=True)
class MemberPage:
    """Users of a group; `nested`: they belong only to groups inside it."""

    users: Sequence[DirectoryUser]
    nested: bool = False


async def member_pages(world: Needs, group_id: GroupId) -> AsyncIterator[MemberPage]:
    """Every direct member, then those of nested groups, each once. Ends normally only after the last page.

    Raises NotOffered if the licenses of members cannot be read this way, PermissionDenied if the members are hidden
    from the app; NotFound, Unavailable.
    """
    seen, nested = set[UserId](), set[GroupId]()
    async for page in direct_member_pages(world, group_id):
        seen |= {user.id for user in page.users}
        nested |= set(page.nested)
        yield MemberPage(page.users)
    for inner in sorted(nested):
        try:
            async for users in world.directory.member_pages(inner):
                new = [user for user in users if user.id not in seen]
                seen |= {user.id for user in new}
                yield MemberPage(new, nested=True)
        except NotFound:
            continue  # a nested group that was deleted meanwhile has no members


class Judge:
    """Verdicts about the members of one read. The app's own records are read once."""

    def __init__(self, world: Needs, move: Move, assignment: GroupLicenseAssignment, catalog: Catalog) -> None:
        self._world, self._move, self._assignment, self._catalog = world, move, assignment, catalog
        self._reasons: dict[UserId, str] = {}
        self._excluded: set[UserId] = set()

    @classmethod
    async def of(cls, world: Needs, move: Move, assignment: GroupLicenseAssignment) -> Judge:
        judge = cls(world, move, assignment, await read_catalog(world))
        for row in await members_in_error(world, move.group_id):
            if row.engine is Engine.DIRECT and row.updated_at >= move.created_at:
                judge._reasons[row.user_id] = " ".join(problem.text for problem in row.problems)
        for excluded in sorted(assignment.options.excluded_groups):
            async for ids in world.directory.member_ids(excluded):
                judge._excluded |= set(ids)
        return judge

    async def judge(self, page: MemberPage) -> list[MemberMove]:
        """One verdict for each user, in order. Raises Unavailable."""
        if page.nested:
            return [MemberMove(user.id, MoveVerdict.NESTED_ONLY) for user in page.users]
        if self._move.heading is Direction.TO_NATIVE:
            return await self._to_native(page.users)
        return await self._to_direct(page.users)

    async def _to_direct(self, users: Sequence[DirectoryUser]) -> list[MemberMove]:
        move = self._move
        going = set(to_remove(move))
        products = [each for each in move.products if each.sku_id in going]
        verdict = partial(to_direct, group_id=move.group_id, products=products, catalog=self._catalog)
        found = [verdict(user) for user in users]
        waiting = [each.user_id for each in found if each.verdict is MoveVerdict.WAITS]
        grants = await self._world.stores.grants.of_users(waiting) if waiting else {}
        now = self._world.clock.now()
        judged = []
        for user, each in zip(users, found, strict=True):
            if each.verdict is not MoveVerdict.WAITS:
                judged.append(each)
                continue
            is_excluded = self._is_excluded(user) or is_blocked(grants.get(user.id, ()), now)
            if is_excluded and move.undoing:
                # The move back brings no direct license: the member had none before it either.
                judged.append(MemberMove(user.id, MoveVerdict.NOTHING_ACTIVE))
            else:
                facts = Facts(reason=self._reasons.get(user.id, ""), excluded=is_excluded)
                judged.append(verdict(user, facts=facts))
        return judged

    def _is_excluded(self, user: DirectoryUser) -> bool:
        return user.id in self._excluded or exclusion_of(user, self._assignment) is not None

    async def _to_native(self, users: Sequence[DirectoryUser]) -> list[MemberMove]:
        move = self._move
        skus = {each.sku_id for each in move.products}
        holders = [user.id for user in users if skus & user.direct.keys()]
        ledger = await self._world.stores.ledger.rows(holders) if holders else {}
        return [
            to_native(user, move.group_id, move.products, self._catalog, self._facts(ledger.get(user.id), skus))
            for user in users
        ]

    async def unmanaged(self, page: MemberPage) -> list[UserId]:
        """Direct members with a direct license of a product that this app did not assign."""
        skus = {each.sku_id for each in self._move.products}
        holders = [user for user in page.users if not page.nested and skus & user.direct.keys()]
        ledger = await self._world.stores.ledger.rows([user.id for user in holders]) if holders else {}
        found = list[UserId]()
        for user in holders:
            row = ledger.get(user.id)
            managed = row.managed if row else {}
            if any(sku_id not in managed for sku_id in skus & user.direct.keys()):
                found.append(user.id)
        return found

    def _facts(self, row: LedgerRow | None, skus: set[SkuId]) -> Facts:
        if row is None:
            return Facts()
        ending = ending_licenses(row, self._move.group_id) & skus
        unclear = any(row.managed[sku_id].unclear for sku_id in ending)
        return Facts(ending, pending_skus(row.removal_seen_at), BY_HAND if unclear else "")


def ending_licenses(row: LedgerRow, group_id: GroupId) -> frozenset[SkuId]:
    """Managed licenses of a user that the group claims, so that they end with its claim unless another claim stays."""
    source = Source(SourceKind.GROUP, group_id)
    return frozenset(sku_id for sku_id, managed in row.managed.items() if source in managed.sources)


def checksum_of(members: Sequence[MemberMove], convert: Sequence[UserId] = ()) -> str:
    """The same for the same members with the same verdicts, and the same members to convert."""
    lines = sorted([*(f"{each.user_id} {each.verdict}" for each in members), *(f"{each} convert" for each in convert)])
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]
