"""Who holds the privileged directory roles of the tenant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class PrivilegedRoles(Protocol):
    async def holders(self) -> Mapping[str, tuple[str, ...]]:
        """Object id (user, group or service principal) -> the privileged roles that it holds or is eligible for.

        Complete, or it fails: raises PermissionDenied, NotFound, Unavailable.
        """
        ...
