"""A world in memory for tests of doors: the real stores on tables in memory, a clock that is moved, a queue that keeps
what it is sent, and the fake directory."""

from __future__ import annotations

import asyncio
import itertools
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shared.adapters.tables.client import LAST, Tables, TablesConfig
from shared.adapters.tables.rows import MAX_TRANSACTION, Op, Row, is_key, must_be_keys
from shared.adapters.tables.stores import table_stores
from shared.domain.errors import Conflict, NotFound, Unavailable
from shared.domain.graph_permissions import GraphToken
from shared.domain.ids import GroupId
from shared.ports.messaging import Outgoing, QueueState, Undelivered
from shared.ports.world import Policy, World
from tests.support.fakes_changes import FakeChangeFeed
from tests.support.fakes_directory import BEGINNING, FakeDirectory, FakeLicenseWriter
from tests.support.fakes_first_contact import FakeProbes
from tests.support.fakes_native import FakeNativeLicensing
from tests.support.fakes_onboarding import FakeAccounts, FakeMemberships

HR_GROUPS = frozenset(
    {
        GroupId(str(UUID(int=900))),
        GroupId(str(UUID(int=901))),
        GroupId("0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e3f"),
    }
)
"""Groups whose members HR may change in tests: the two teams of runs, and that of calls of the API."""

HR_SENDERS = dict.fromkeys(
    ("/hr/contoso", "urn:hr", "urn:hr:example", "urn:hr:test", "urn:other"),
    frozenset({"cccccccc-0000-4000-8000-000000000003", "queue"}),
)
"""Sources of tests: they come by queue, and by HTTP from the client application of tests."""


def _spans(row: Row, name: str, value: str) -> bool:
    """As the service compares: a row that has no such property does not pass."""
    return f"{name}0" in row and row[f"{name}0"] <= value <= row[f"{name}1"]


class _Partition:
    """Rows by their keys, which are kept sorted."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.keys: list[str] = []

    def put(self, key: str, row: Row) -> None:
        if key not in self.rows:
            insort(self.keys, key)
        self.rows[key] = row

    def remove(self, key: str) -> None:
        if self.rows.pop(key, None) is not None:
            del self.keys[bisect_left(self.keys, key)]


MOST_ROWS = 1000
"""Rows of one answer (learn.microsoft.com/rest/api/storageservices/query-timeout-and-pagination)."""

NOTHING = _Partition()
"""A partition without rows; never written to."""


class MemoryTables(Tables):
    """Tables in memory: ETags, transactions that are all or nothing, keys the service would take."""

    def __init__(self) -> None:
        super().__init__(TablesConfig("t"))
        self.away = False
        self.hangs = False
        self.dies_after: int | None = None
        """The process dies at the write after so many more."""
        self.writes = self.requests = 0
        """Transactions that were tried; requests, of which a query sends one for each answer."""
        self.contested: set[str] = set()
        """Tables whose rows somebody else always changes first."""
        self._partitions: dict[tuple[str, str], _Partition] = {}
        self._names: dict[str, list[str]] = defaultdict(list)
        """Partitions of a table, sorted."""
        self._etags = itertools.count(1)

    def everything(self) -> list[tuple[str, Row]]:
        """Every row with the name of its table."""
        return [(name, row) for (name, _), each in self._partitions.items() for row in each.rows.values()]

    async def get(self, name: str, partition: str, row: str) -> Row | None:
        await self._answering()
        found = self._partition(name, partition).rows.get(row) if is_key(partition) and is_key(row) else None
        return dict(found) if found else None

    async def query(
        self, name: str, partition: str, first: str = "", last: str = LAST, **options: Any
    ) -> AsyncIterator[Row]:
        await self._answering()
        sent, most = 0, options.get("rows_a_page") or MOST_ROWS
        spans: Mapping[str, str] = options.get("spanning") or {}
        equal = (options.get("equal") or {}).items()
        for each in self._named(name, partition, options.get("to_partition") or partition):
            for key in each.keys[bisect_left(each.keys, first) : bisect_right(each.keys, last)]:
                row = each.rows.get(key)
                if row is not None and equal <= row.items() and all(_spans(row, *span) for span in spans.items()):
                    if sent and sent % most == 0:
                        await self._answering()
                    sent += 1
                    yield dict(row)

    def _partition(self, name: str, partition: str) -> _Partition:
        return self._partitions.get((name, partition), NOTHING)

    def _named(self, name: str, first: str, last: str) -> list[_Partition]:
        if first == last:
            return [self._partition(name, first)]
        names = self._names[name]
        return [self._partitions[name, each] for each in names[bisect_left(names, first) : bisect_right(names, last)]]

    async def write(self, name: str, op: Op) -> str:
        return (await self.transact(name, [op]))[0]

    async def transact(self, name: str, ops: Sequence[Op]) -> list[str]:
        self._count_write()
        await self._answering()
        keys = [(name, op.row["PartitionKey"], op.row["RowKey"]) for op in ops]
        if len(ops) > MAX_TRANSACTION or len({key[1] for key in keys}) != 1 or len(set(keys)) != len(keys):
            raise ValueError(f"{name}: a transaction is at most {MAX_TRANSACTION} different rows of one partition")
        must_be_keys(name, ops)
        for op, key in zip(ops, keys, strict=True):
            self._check_op(op, key)
        etags = [f'W/"{next(self._etags)}"' for _ in ops]
        for op, key, etag in zip(ops, keys, etags, strict=True):
            if op.kind == "delete":
                self._partitions[key[:2]].remove(key[2])
            else:
                self._made(*key[:2]).put(key[2], {**{k: v for k, v in op.row.items() if v is not None}, "etag": etag})
        return etags

    def _made(self, name: str, partition: str) -> _Partition:
        found = self._partitions.get((name, partition))
        if found is None:
            found = self._partitions[name, partition] = _Partition()
            insort(self._names[name], partition)
        return found

    async def delete(self, name: str, partition: str, row: str) -> None:
        self._count_write()
        await self._answering()
        self._partition(name, partition).remove(row)

    async def drop(self, name: str) -> None:
        await self._answering()
        for partition in self._names.pop(name, ()):
            del self._partitions[name, partition]

    def place(self, name: str, partition: str, row: str, **values: Any) -> None:
        """A row that was written before."""
        made = {"PartitionKey": partition, "RowKey": row, **values, "etag": f'W/"{next(self._etags)}"'}
        self._made(name, partition).put(row, made)

    def rows(self, name: str, begins: str = "") -> int:
        """How many rows of a table are in partitions that begin so."""
        return sum(len(self._partition(name, key).rows) for key in self._names[name] if key.startswith(begins))

    def _count_write(self) -> None:
        self.writes += 1
        if self.dies_after is not None:
            if self.dies_after == 0:
                raise Unavailable(None, "the process was told to die")
            self.dies_after -= 1

    async def _answering(self) -> None:
        self.requests += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.away:
            raise Unavailable(None, "tables were told to be away")

    def _check_op(self, op: Op, key: tuple[str, str, str]) -> None:
        known = self._partition(*key[:2]).rows.get(key[2])
        guarded = op.kind == "replace" or (op.kind == "delete" and op.etag and known is not None)
        changed = guarded and (known is None or known["etag"] != op.etag)
        if changed or (op.kind == "create" and known is not None) or key[0] in self.contested:
            raise Conflict(f"table {key[0]}: the row was changed by somebody else")
        if op.kind == "delete" and known is None:
            raise NotFound(f"table {key[0]}: there is no such row")


class MovedClock:
    """A clock that stands still until it is moved; sleeping moves it."""

    def __init__(self) -> None:
        self._now = BEGINNING
        self.is_ahead: timedelta | None = None

    def now(self) -> datetime:
        return self._now

    def ahead(self) -> timedelta | None:
        return self.is_ahead

    async def sleep(self, seconds: float) -> None:
        self.move(timedelta(seconds=seconds))

    def move(self, by: timedelta) -> None:
        self._now += by


@dataclass(slots=True)
class KeepingQueue:
    """Keeps what it is sent; the next `away` sends fail; while it `hangs`, no send ends."""

    messages: list[Outgoing] = field(default_factory=list)
    away: int = 0
    hangs: bool = False

    async def send(self, messages: Sequence[Outgoing]) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.away > 0:
            self.away -= 1
            raise Unavailable(None, "the queue was told to be away")
        self.messages += messages


@dataclass(slots=True)
class FakeDeadLetterQueues:
    """Dead letters by queue; those in `away` cannot be read."""

    dead_letters: list[Undelivered] = field(default_factory=list)
    away: set[str] = field(default_factory=set)

    async def drain(self, queue: str, top: int, take: Callable[[Undelivered], Awaitable[None]]) -> int:
        if queue in self.away:
            raise Unavailable(None, f"{queue} was told to be away")
        mine = [dead_letter for dead_letter in self.dead_letters if dead_letter.queue == queue][:top]
        for dead_letter in mine:
            await take(dead_letter)
            self.dead_letters.remove(dead_letter)
        return len(mine)


@dataclass(slots=True)
class FakeQueueWatch:
    """Looks at what a queue that keeps has kept."""

    queue: KeepingQueue
    clock: MovedClock
    away: bool = False

    async def check(self, queue: str, most: int) -> QueueState:
        if self.away:
            raise Unavailable(None, f"{queue} was told to be away")
        mine = [message for message in self.queue.messages if message.queue == queue]
        later = [message for message in mine[:most] if message.at and message.at > self.clock.now()]
        waiting = len(mine[:most]) - len(later)
        oldest = self.clock.now() if waiting else None
        why = [message.denied for message in mine[:most] if message.denied]
        return QueueState(queue, waiting, len(later), oldest, len(mine) > most, len(why), why[0] if why else "")


@dataclass(slots=True)
class FakeRoles:
    """Holders of privileged roles by object id, and eligible members by group; the faults are raised in their place."""

    held: dict[str, tuple[str, ...]] = field(default_factory=dict)
    fault: Exception | None = None
    eligible: dict[str, set[str]] = field(default_factory=dict)
    eligible_fault: Exception | None = None

    async def holders(self) -> Mapping[str, tuple[str, ...]]:
        if self.fault is not None:
            raise self.fault
        return dict(self.held)

    async def eligible_members(self, group_id: GroupId) -> frozenset[str]:
        if self.eligible_fault is not None:
            raise self.eligible_fault
        return frozenset(self.eligible.get(group_id, ()))


class MemoryLog:
    """A DigestLog in memory. `blobs` can be changed from outside; `away` answers nothing."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.away = False
        self.lose_answers = 0
        """Appends that are done and raise all the same, as if the process had died after them."""

    async def read(self, name: str, start: int = 0) -> bytes | None:
        if self.away:
            raise Unavailable(5, "the blob service is away")
        return self.blobs[name][start:] if name in self.blobs else None

    async def append(self, name: str, data: bytes, position: int) -> None:
        if self.away:
            raise Unavailable(5, "the blob service is away")
        if len(self.blobs.get(name, b"")) != position:
            raise Conflict(f"{name} is not {position} bytes long")
        self.blobs[name] = self.blobs.get(name, b"") + data
        if self.lose_answers:
            self.lose_answers -= 1
            raise Unavailable(5, "the answer was lost")


@dataclass(frozen=True, slots=True)
class Fakes:
    """The world, and the handles to change it from outside."""

    world: World
    clock: MovedClock
    queue: KeepingQueue
    directory: FakeDirectory
    tables: MemoryTables
    changes: FakeChangeFeed
    dead_letters: FakeDeadLetterQueues
    watch: FakeQueueWatch
    roles: FakeRoles
    digest_log: MemoryLog
    native: FakeNativeLicensing
    permissions: list[frozenset[str] | None]
    """The last one is that of the app's token."""

    def sent(self) -> list[Outgoing]:
        """The messages sent so far, oldest first."""
        return list(self.queue.messages)

    def queue_away(self, *, times: int) -> None:
        self.queue.away = times

    def stores_away(self) -> None:
        self.tables.away = True

    def assignments_always_change(self) -> None:
        """Every write of an assignment loses its race."""
        self.tables.contested.add("assignments")


def read_protected_list(tables: MemoryTables) -> None:
    """The list of protected people was read, and is empty; until then all removals would wait."""
    tables.place("protectedpeople", "list", "read", body=f'{{"readAt": "{BEGINNING.isoformat()}", "fault": ""}}')


def fake_world(*, protected_list_read: bool = True) -> Fakes:
    """An empty tenant. `protected_list_read`: the list of protected people was read at the beginning, and is empty."""
    clock, queue, tables = MovedClock(), KeepingQueue(), MemoryTables()
    directory, changes = FakeDirectory(now=clock.now), FakeChangeFeed(clock.now)
    dead_letters, watch = FakeDeadLetterQueues(), FakeQueueWatch(queue, clock)
    roles = FakeRoles()
    if protected_list_read:
        read_protected_list(tables)
    digest_log, native = MemoryLog(), FakeNativeLicensing(directory)
    permissions: list[frozenset[str] | None] = [None]
    numbers = itertools.count(1)

    def token() -> str:
        number = next(numbers)
        return f"{number * 2654435761 % 2**32:08x}{number:024x}"

    world = World(
        clock=clock,
        queue=queue,
        directory=directory,
        roles=roles,
        licenses=FakeLicenseWriter(directory),
        native=native,
        changes=changes,
        accounts=FakeAccounts(directory),
        memberships=FakeMemberships(directory),
        probes=FakeProbes(),
        dead_letters=dead_letters,
        queue_watch=watch,
        digest_log=digest_log,
        stores=table_stores(tables, monotonic=lambda: clock.now().timestamp(), now=clock.now),
        policy=Policy(
            tenant_id="tenant",
            public_url="https://app.example",
            onboarding_groups=HR_GROUPS,
            hr_senders=HR_SENDERS,
            leaver_minimum_delay_s=0.0,
        ),
        token=token,
        graph_roles=lambda: permissions[-1],
        graph_token=lambda: GraphToken(permissions[-1], clock.now() + timedelta(hours=20)) if permissions[-1] else None,
    )
    return Fakes(
        world, clock, queue, directory, tables, changes, dead_letters, watch, roles, digest_log, native, permissions
    )
