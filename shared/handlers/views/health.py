"""How the app is, at a glance: changes of membership, the write quota, the queues, open work and failed messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.domain.assignment import GroupLicenseAssignment, is_active
from shared.domain.audit_digest import DigestState
from shared.domain.budget import EMPTY, BudgetState, used
from shared.domain.canary import Canary, CanaryState, state_of
from shared.domain.errors import PermissionDenied, Unavailable
from shared.domain.first_contact import Run
from shared.domain.graph_permissions import MEMBERSHIP_ROLE, OPTIONAL, Feature, Permissions, compared
from shared.domain.operation import Operation
from shared.domain.protected_people import Protection
from shared.domain.writing import Writing
from shared.handlers.messaging.dead_letters import QUEUES
from shared.handlers.reconcile.plan import protection_of
from shared.handlers.reconcile.write_limiter import limits_of, writing
from shared.handlers.views import queries
from shared.handlers.views.needs import Needs
from shared.handlers.views.queries import ChangeFeedState
from shared.ports.messaging import QueueState
from shared.ports.world import Policy

COUNT_MAX_AGE_S = 60.0
"""How old the number of dead letters can be: counting 20,000 is 20 answers of the service."""

READ_AT_MOST = 100
"""Messages of a queue that are read: reading more would be slow, and would show nothing new."""


@dataclass(frozen=True, slots=True)
class WriteUse:
    """Writes in the window that ends now, the limit of a window, and the end of a pause that Graph required."""

    used: int
    limit: int
    window_s: float
    per_second: float
    frozen_until: datetime | None


@dataclass(frozen=True, slots=True)
class CanaryHealth:
    """The state of the canary group. `by_hand`: a person changes the membership, because no member is set or the token
    lacks the permission."""

    state: CanaryState
    known: Canary
    by_hand: bool


@dataclass(frozen=True, slots=True)
class Health:
    feed: ChangeFeedState
    writing: Writing
    writes: WriteUse
    operations: tuple[Operation, ...]
    dead_letters: int
    clock_ahead: timedelta | None
    """Of the process that answers; None: Graph has not answered it yet."""
    country: str | None
    """Of the organization, for users without a usage location; None: not known."""
    digests: DigestState | None
    protection: Protection
    protected: int
    """How many people are protected now."""
    permissions: Permissions
    canary: CanaryHealth
    synced_at: datetime | None
    """When the nightly sync last requested its syncs."""
    first_contact: Run | None
    """The newest run of the first-contact check."""


@dataclass(frozen=True, slots=True)
class QueueStates:
    """Waiting messages of each queue; `error`: why the queues cannot be read, empty if they can."""

    queue_states: tuple[QueueState, ...]
    error: str = ""


async def health(world: Needs) -> Health:
    """Everything but the queues, which take longer. Raises Unavailable."""
    feed, switch, writes, operations, dead_letters, digests = await asyncio.gather(
        queries.change_feed(world),
        writing_now(world),
        write_use(world),
        world.stores.operations.open(),
        world.stores.dead_letters.count(COUNT_MAX_AGE_S),
        world.stores.audit_digests.state(),
    )
    # After writing_now, which makes sure that a token was read.
    protection, permissions, record, runs, country = await asyncio.gather(
        protection_of(world),
        permissions_now(world),
        world.stores.health.load(),
        world.stores.first_contact.newest(1),
        country_of(world),
    )
    roles = world.graph_roles()
    by_hand = world.policy.canary_member is None or (roles is not None and MEMBERSHIP_ROLE not in roles)
    return Health(
        feed,
        switch,
        writes,
        tuple(operations),
        dead_letters,
        world.clock.ahead(),
        country,
        digests,
        protection,
        protection.count(world.clock.now()),
        permissions,
        CanaryHealth(canary_state(world, record.canary), record.canary, by_hand),
        record.synced_at,
        next(iter(runs), None),
    )


async def country_of(world: Needs) -> str | None:
    """The country of the organization. None if Graph rejects the read, leaves the country out, or is away."""
    with suppress(Unavailable, PermissionDenied):
        return (await world.directory.organization()).country_letter_code
    return None


def canary_state(world: Needs, canary: Canary) -> CanaryState:
    """The canary's state now."""
    return state_of(
        canary,
        world.clock.now(),
        is_configured=world.policy.canary_group is not None,
        has_subscription=bool(world.policy.public_url),
    )


async def permissions_now(world: Needs) -> Permissions:
    """The permissions of the token, against those of the features that are switched on. Raises Unavailable."""
    assignments = await world.stores.assignments.all(queries.NAMES_MAX_AGE_S)
    needed, unclear = features_of(world.policy, assignments)
    return compared(world.graph_token(), needed, unclear)


def features_of(
    policy: Policy, assignments: Iterable[GroupLicenseAssignment]
) -> tuple[frozenset[Feature], frozenset[Feature]]:
    """Features that are switched on, and further ones that may use their permissions."""
    hr_groups = policy.onboarding_groups or policy.onboarding_units
    states = {
        Feature.PROTECTED_PEOPLE: policy.protected_roles,
        Feature.ADMINISTRATIVE_UNITS: bool(policy.onboarding_units),
        Feature.ONBOARDING: bool(hr_groups),
        Feature.USAGE_LOCATION: any(each.options.usage_location for each in assignments if is_active(each)),
    }
    # Without ONBOARDING_GROUPS, HR can change its former groups for a while after an upgrade.
    may = policy.onboarding_groups is None or policy.canary_member is not None
    needed = frozenset(feature for feature, is_on in states.items() if is_on)
    return needed, OPTIONAL | ({Feature.ONBOARDING} if may else frozenset())


async def writing_now(world: Needs) -> Writing:
    """Whether the app writes. A process that has not called Graph yet does so first, because its token shows the
    permissions."""
    if world.graph_roles() is None:
        with suppress(Unavailable, PermissionDenied):
            await world.directory.subscribed_skus(queries.NAMES_MAX_AGE_S)
    return await writing(world)


async def write_use(world: Needs) -> WriteUse:
    """How much of the write quota is used."""
    limits = limits_of(world.policy)
    text, _ = await world.stores.budget.load()
    state = BudgetState.from_json(text) if text else EMPTY
    now = world.clock.now().timestamp()
    frozen = datetime.fromtimestamp(state.not_before, UTC) if state.not_before > now else None
    return WriteUse(used(state, limits, now), limits.window_limit, limits.window_s, limits.rate_per_s, frozen)


async def queue_states(world: Needs) -> QueueStates:
    """What waits in the queues; a page is shown even while they are away."""
    try:
        queue_states = await asyncio.gather(*(world.queue_watch.check(queue, READ_AT_MOST) for queue in QUEUES))
    except Unavailable as fault:
        return QueueStates((), str(fault))
    return QueueStates(tuple(queue_states))
