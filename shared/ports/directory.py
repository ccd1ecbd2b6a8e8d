"""Reads of the directory: users, groups, products, the organization, and accounts by the names HR uses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.directory import DirectoryGroup, DirectoryUser, FoundUser, ReadFailed, SubscribedSku, UserRead
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.onboarding import Account, PersonRef

MOST_FOUND = 25
"""Users or groups that one search shows."""


@dataclass(frozen=True, slots=True)
class Organization:
    id: str
    display_name: str
    country_letter_code: str | None


class Directory(Protocol):
    async def kinds(self, ids: Sequence[str]) -> Mapping[str, str | None]:
        """The Graph type of each id, such as `user`, `group`, `device`; None for one the directory does not have."""
        ...

    async def organization(self) -> Organization: ...

    async def subscribed_skus(self, max_age_s: float = 30.0) -> tuple[SubscribedSku, ...]:
        """The tenant's products; an answer read within the last `max_age_s` seconds may be given again."""
        ...

    async def users(self, user_ids: Sequence[UserId], *, with_groups: bool = True) -> Mapping[UserId, UserRead]:
        """One read per id, every id present: state of the user and, `with_groups`, all groups transitively."""
        ...

    async def group(self, group_id: GroupId) -> DirectoryGroup:
        """Raises NotFound when there is no such group."""
        ...

    async def find_groups(self, text: str, top: int = MOST_FOUND) -> tuple[DirectoryGroup, ...]:
        """Groups with this text in their name, word by word, or with this id, sorted by name."""
        ...

    async def groups_named(self, name: str) -> tuple[DirectoryGroup, ...]:
        """Every group with exactly this name, whatever its case. Raises Unavailable, PermissionDenied."""
        ...

    async def find_users(self, text: str, top: int = MOST_FOUND) -> tuple[FoundUser, ...]:
        """Users whose name has words that begin with those of the text, in any order. Also users
        whose surname, userPrincipalName or mail begins with it, or with this employeeId or id. Sorted by name."""
        ...

    async def users_found(self, user_ids: Sequence[UserId]) -> Mapping[UserId, FoundUser]:
        """Users by id, for names in lists; without those that the directory does not have. Raises Unavailable,
        PermissionDenied."""
        ...

    async def address_holders(self, addresses: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """The ids of the users and groups that have an e-mail address, for each address that any of them has.

        Contacts and deleted objects are not searched. Raises Unavailable, PermissionDenied.
        """
        ...

    async def holders(
        self, sku_id: SkuId, top: int, after: str | None = None
    ) -> tuple[tuple[DirectoryUser, ...], str | None]:
        """A page of the users who have a product from any source, without `group_ids`, and a token for the next page.
        Raises Unavailable, also if Graph does not offer this list."""
        ...

    def member_pages(
        self, group_id: GroupId, nested: set[GroupId] | None = None
    ) -> AsyncIterator[Sequence[DirectoryUser]]:
        """All users in the group, transitively, page by page, without `group_ids`; other member types are left out.

        The groups inside it are put into `nested`.
        Ends normally only after the last page. Raises NotFound, Unavailable; PermissionDenied when members come without
        their properties.
        """
        ...

    def member_ids(self, group_id: GroupId) -> AsyncIterator[Sequence[UserId]]:
        """The ids of all users in the group, transitively, page by page: a much shorter answer than `member_pages`.

        Ends normally only after the last page. Raises NotFound, Unavailable.
        """
        ...

    async def member_list(self, group_id: GroupId, max_age_s: float) -> frozenset[UserId]:
        """The members of `member_ids`, from a read that began within the last `max_age_s` seconds. Raises NotFound,
        Unavailable."""
        ...

    async def groups_of_unit(self, unit_id: str) -> frozenset[GroupId]:
        """The groups in an administrative unit, without those inside them. Complete, or it fails: raises NotFound,
        PermissionDenied, Unavailable."""
        ...


class Accounts(Protocol):
    async def find(self, refs: Sequence[PersonRef]) -> Mapping[PersonRef, tuple[Account, ...] | ReadFailed]:
        """Every account that any of the names fits, by ref, every ref present; none: there is no such account now."""
        ...
