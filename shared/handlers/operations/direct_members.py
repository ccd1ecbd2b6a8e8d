"""Direct members of a natively licensed group, for work that ends licenses by what it reads."""

from __future__ import annotations

from collections.abc import AsyncIterator

from shared.domain.errors import PermissionDenied
from shared.domain.ids import GroupId
from shared.handlers.operations.needs import Needs
from shared.ports.native_licensing import DirectMembers


async def direct_member_pages(world: Needs, group_id: GroupId) -> AsyncIterator[DirectMembers]:
    """Every direct member. Ends normally only after the last page.

    Without Member.Read.Hidden, a group with hidden membership reads empty, as if everybody had left
    (learn.microsoft.com/graph/api/group-list-members). So such a group without members counts as unread.

    Raises PermissionDenied for it; NotOffered, NotFound, Unavailable.
    """
    is_empty = True
    async for page in world.native.members(group_id):
        is_empty = is_empty and not page.users and not page.nested
        yield page
    if is_empty and (await world.directory.group(group_id)).hidden_membership:
        raise PermissionDenied(
            f"Group {group_id} hides its membership, and no member can be seen. Grant the app the permission "
            "Member.Read.Hidden (--with hidden-groups)."
        )
