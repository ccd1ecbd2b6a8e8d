"""What the tests of the directory adapter read, and the answers they script."""

from __future__ import annotations

from shared.adapters.directory import GraphDirectory
from shared.domain.directory import DirectoryUser, UserRead
from shared.domain.ids import GroupId, UserId
from tests.unit.adapters.graph_stub import Answer, error, guid

GROUP = GroupId(guid(0xA))
MEMBERS = rf"^/groups/{GROUP}/transitiveMembers"
GET = r"^/users/{}\?"
GROUPS_OF = r"^/users/{}/getMemberGroups$"
THROTTLED = Answer(error("TooManyRequests", "later"), 429, {"Retry-After": "17.5"})


def ids(*numbers: int) -> list[UserId]:
    """Users of the scripted Graph."""
    return [UserId(guid(number)) for number in numbers]


def present(read: UserRead) -> DirectoryUser:
    """The user, if the read was complete."""
    assert isinstance(read, DirectoryUser), read
    return read


async def all_members(directory: GraphDirectory) -> list[DirectoryUser]:
    """The members of the group from all pages."""
    return [each async for page in directory.member_pages(GROUP) for each in page]
