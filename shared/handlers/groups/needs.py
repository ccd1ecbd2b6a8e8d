"""Everything that this package can reach. `World` fits it, and mypy rejects any other access."""

from __future__ import annotations

from typing import Protocol

from shared.ports.clock import Clock
from shared.ports.count_stores import MemberCountStore
from shared.ports.directory import Directory
from shared.ports.membership_stores import NestingStore
from shared.ports.stores import AssignmentStore, GroupStatusStore


class Stores(Protocol):
    """The tables."""

    @property
    def assignments(self) -> AssignmentStore: ...

    @property
    def group_status(self) -> GroupStatusStore: ...

    @property
    def member_counts(self) -> MemberCountStore: ...

    @property
    def nesting(self) -> NestingStore: ...


class Needs(Protocol):
    """What handlers of managed groups are given."""

    @property
    def clock(self) -> Clock: ...

    @property
    def directory(self) -> Directory: ...

    @property
    def stores(self) -> Stores: ...
