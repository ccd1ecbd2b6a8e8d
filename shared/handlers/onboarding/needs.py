"""Everything that this package can reach. `World` fits it, and mypy rejects any other access."""

from __future__ import annotations

from typing import Protocol

from shared.handlers.operations import needs as operations
from shared.ports.directory import Accounts
from shared.ports.graph_writes import Memberships
from shared.ports.onboarding_stores import HrStateStore, OnboardingStore, ProfileStore


class Stores(operations.Stores, Protocol):
    """The tables, those of the packages below included."""

    @property
    def onboarding(self) -> OnboardingStore: ...

    @property
    def profiles(self) -> ProfileStore: ...

    @property
    def hr_states(self) -> HrStateStore: ...


class Needs(operations.Needs, Protocol):
    """What handlers of HR onboarding are given."""

    @property
    def accounts(self) -> Accounts: ...

    @property
    def memberships(self) -> Memberships: ...

    @property
    def stores(self) -> Stores: ...
