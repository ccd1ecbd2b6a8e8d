"""What is outside of the app: the clock, the queue, the directory, and the writing of licenses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.model import (
    AssignedLicense,
    DirectoryUser,
    GroupId,
    SkuId,
    SubscribedSku,
    UserId,
)


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, UTC and aware."""
        ...

    async def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send. `at`: not before then. `drained`: how often it was taken out of the dead letters."""

    queue: str
    body: bytes
    message_id: str | None = None
    at: datetime | None = None
    drained: int = 0


class Queue(Protocol):
    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Send all of them. Raises Unavailable when any may not have been accepted; sending again is then right."""
        ...


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A message that the queue put aside after too many deliveries that failed, or too long a wait."""

    queue: str
    body: bytes
    reason: str
    drained: int = 0


class DeadLetterQueues(Protocol):
    """The queues' own dead letters."""

    async def drain(self, queue: str, top: int, take: Callable[[Undelivered], Awaitable[None]]) -> int:
        """Give at most `top` dead letters of a queue to `take`, one by one; each is taken off once that has returned.
        Returns how many were. Raises Unavailable, and what `take` raises: that letter stays."""
        ...


@dataclass(frozen=True, slots=True)
class QueueLook:
    """What waits in a queue: `waiting` can be worked on now, since `oldest_at`; `scheduled` is for later. `more`: there
    are more than were looked at."""

    queue: str
    waiting: int
    scheduled: int
    oldest_at: datetime | None
    more: bool = False


class QueueWatch(Protocol):
    """What waits in the queues, without taking it."""

    async def look(self, queue: str, most: int) -> QueueLook:
        """Look at no more than `most` messages. Raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Organization:
    id: str
    display_name: str
    country_letter_code: str | None


@dataclass(frozen=True, slots=True)
class DirectoryGroup:
    """A group and what decides whether it may be managed. `native_skus`: what native group-based licensing gives it."""

    id: GroupId
    display_name: str
    security_enabled: bool
    group_types: tuple[str, ...] = ()
    hidden_membership: bool = False
    native_skus: tuple[AssignedLicense, ...] = ()
    on_premises: bool = False
    role_assignable: bool = False
    mail_enabled: bool = False


@dataclass(frozen=True, slots=True)
class UserGone:
    """The directory says there is no such user now (404)."""


@dataclass(frozen=True, slots=True)
class NotAUser:
    """The id is of something else, such as a device; `kind` is its Graph type."""

    kind: str


@dataclass(frozen=True, slots=True)
class ReadFailed:
    """This user could not be read completely. `refused`: by Graph with an answer that will not change by waiting."""

    why: str
    retry_after_s: float | None = None
    refused: bool = False


UserRead = DirectoryUser | UserGone | NotAUser | ReadFailed


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

    async def find_groups(self, text: str, top: int = 25) -> tuple[DirectoryGroup, ...]:
        """Groups whose name begins with a text, sorted by name."""
        ...

    async def find_users(self, text: str, top: int = 25) -> tuple[DirectoryUser, ...]:
        """Users whose name or userPrincipalName begins with a text, sorted by name, without `group_ids`."""
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


@dataclass(frozen=True, slots=True)
class LicenseCall:
    """One assignLicense call: additions and removals of one user go out together."""

    add: tuple[AssignedLicense, ...]
    remove: tuple[SkuId, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """2xx."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A definite refusal: nothing was written."""

    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """429 or a definite 503: nothing was written. `scope` is the x-ms-throttle-scope header."""

    retry_after_s: float
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No usable answer: the write may have been done or not."""

    why: str


WriteResult = Accepted | Rejected | Throttled | Unanswered


class LicenseWriter(Protocol):
    """Each call returns one result per user, every user present; at most 20 users a call."""

    async def set_usage_locations(
        self, locations: Mapping[UserId, str], *, urgent: bool
    ) -> Mapping[UserId, WriteResult]: ...

    async def assign(self, calls: Mapping[UserId, LicenseCall], *, urgent: bool) -> Mapping[UserId, WriteResult]: ...
