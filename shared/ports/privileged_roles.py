"""Who holds the privileged directory roles of the tenant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from shared.domain.ids import GroupId


class PrivilegedRoles(Protocol):
    async def holders(self) -> Mapping[str, tuple[str, ...]]:
        """Object id (user, group or service principal) -> the privileged roles that it holds or is eligible for.

        Complete, or it fails: raises PermissionDenied, NotFound, Unavailable. No holder at all is incomplete.
        """
        ...

    async def eligible_members(self, group_id: GroupId) -> frozenset[str]:
        """Object ids (user or group) that can activate membership of the group, and are not members until then.

        Complete, or it fails: raises PermissionDenied, NotFound, Unavailable.
        """
        ...
