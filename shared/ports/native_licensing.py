"""Microsoft's own group-based licensing: which groups it licenses, what it did for their members, and processing a
member again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.directory import AssignedLicense, DirectoryGroup, DirectoryUser
from shared.domain.ids import GroupId, Plans, SkuId, UserId
from shared.domain.write_results import WriteResult


@dataclass(frozen=True, slots=True)
class LicensedGroup:
    """A group with licenses of its own. `processing`: Graph's `licenseProcessingState`, empty where there is none."""

    group: DirectoryGroup
    processing: str = ""


@dataclass(frozen=True, slots=True)
class DirectMembers:
    """A page of direct members, whose licenses show when each row changed. `nested`: groups among them."""

    users: Sequence[DirectoryUser]
    nested: Sequence[GroupId] = ()


class NativeLicensing(Protocol):
    async def licensed_groups(self) -> tuple[LicensedGroup, ...]:
        """Every licensed group of the tenant. Complete, or it fails: raises PermissionDenied, Unavailable."""
        ...

    async def licensed_group(self, group_id: GroupId) -> LicensedGroup:
        """One group, also without licenses. A read soon after a change can show the licenses from before it.

        Raises NotFound, PermissionDenied, Unavailable.
        """
        ...

    def members(self, group_id: GroupId) -> AsyncIterator[DirectMembers]:
        """The direct members, page by page. Ends normally only after the last page.

        Raises NotOffered if the licenses of members cannot be read this way; NotFound, PermissionDenied, Unavailable.
        """
        ...

    async def in_error(self, group_id: GroupId) -> tuple[DirectoryUser, ...]:
        """All direct members with a license error, with their licenses. Raises NotFound, PermissionDenied,
        Unavailable."""
        ...

    async def reprocess(self, user_ids: Sequence[UserId], *, urgent: bool) -> Mapping[UserId, WriteResult]:
        """Process all licenses again that each user has through groups; at most 20 users. A rejection says what blocks
        them."""
        ...

    async def enabled_plans(self, user_ids: Sequence[UserId]) -> Mapping[UserId, Plans]:
        """By user, the service plans that `assignedPlans` show as Enabled, from whatever source. Users who could not be
        read are left out. Raises PermissionDenied, Unavailable if none could be read."""
        ...

    async def assign_group_licenses(
        self, group_id: GroupId, add: Sequence[AssignedLicense], remove: Sequence[SkuId], *, urgent: bool = False
    ) -> WriteResult:
        """Change the products of a group; Microsoft's licensing then processes its members.

        Accepted says that the change was requested, not that it is there: calls for one group at the same time can lose
        each other's changes. Callers send one call at a time for a group, and read the group afterwards.
        """
        ...
