"""Accounts and memberships on the fake directory, as Graph shows and writes them."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.domain.directory import ReadFailed
from shared.domain.ids import GroupId, UserId
from shared.domain.onboarding import Account, PersonRef
from shared.domain.write_results import Accepted, Rejected, WriteResult
from shared.ports.graph_writes import AlreadySo, MembershipChange
from tests.support.fakes_directory import FakeDirectory

LIMIT = 20
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
"""When accounts were created whose time is not set."""


@dataclass(slots=True)
class FakeAccounts:
    """Finds users of the directory; what HR knows of them beyond the directory is set here."""

    directory: FakeDirectory
    employee_ids: dict[UserId, str] = field(default_factory=dict)
    created: dict[UserId, object] = field(default_factory=dict)
    failing: dict[str, deque[ReadFailed]] = field(default_factory=lambda: defaultdict(deque))

    async def find(self, refs: Sequence[PersonRef]) -> Mapping[PersonRef, tuple[Account, ...] | ReadFailed]:
        return {ref: self._find(ref) for ref in refs}

    def _find(self, ref: PersonRef) -> tuple[Account, ...] | ReadFailed:
        for name in ref.identities:
            if self.failing[name]:
                return self.failing[name].popleft()
        only_id = ref.id is not None and len(ref.identities) == 1
        ids = [ref.id] if only_id and ref.id else self.directory.user_ids()
        people = {user_id: self.directory.person(user_id) for user_id in ids}
        found = []
        for user_id, user in people.items():
            if user is None:
                continue
            account = Account(
                user_id,
                user.user_principal_name,
                self.employee_ids.get(user_id, ""),
                user.account_enabled,
                self.created.get(user_id, LONG_AGO),  # type: ignore[arg-type]
                user.usage_location,
            )
            if set(account.ref.identities) & set(ref.identities):
                found.append(account)
        return tuple(found)


@dataclass(slots=True)
class FakeMemberships:
    """Writes memberships into the directory. `answers`: what the next writes of a group get instead, and whether they
    are done all the same. `meanwhile`: what happens, each once, while a call is under way."""

    directory: FakeDirectory
    answers: dict[GroupId, deque[tuple[WriteResult, bool]]] = field(default_factory=lambda: defaultdict(deque))
    log: list[MembershipChange] = field(default_factory=list)
    meanwhile: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    async def change(self, changes: Sequence[MembershipChange]) -> Sequence[WriteResult | AlreadySo]:
        if len(changes) > LIMIT:
            raise ValueError(f"{len(changes)} changes in one call, at most {LIMIT}")
        while self.meanwhile:
            await self.meanwhile.pop(0)()
        return [self._one(change) for change in changes]

    def _one(self, change: MembershipChange) -> WriteResult | AlreadySo:
        if self.answers[change.group_id]:
            answer, done = self.answers[change.group_id].popleft()
            if done:
                self._write(change)
            return answer
        group = self.directory.groups.get(change.group_id)
        if group is None or self.directory.person(change.user_id) is None:
            return Rejected(404, "Request_ResourceNotFound", "Resource does not exist")
        if group.on_premises or group.is_dynamic:
            return Rejected(400, "Request_BadRequest", "the group is written elsewhere")
        return Accepted() if self._write(change) else AlreadySo()

    def _write(self, change: MembershipChange) -> bool:
        is_member = change.user_id in self.directory.direct_members(change.group_id)
        if is_member is change.add:
            return False
        if change.add:
            self.directory.join(change.group_id, change.user_id)
        else:
            self.directory.leave(change.group_id, change.user_id)
        self.log.append(change)
        return True
