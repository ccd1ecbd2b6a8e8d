"""The composition root: from settings to the doors that triggers call, made on first use and once per process.

SDKs are imported here when they are needed, so that indexing the function app imports and connects nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from shared.config import Settings
from shared.domain import trace_context
from shared.domain.access import DEFAULT_DIRECTORY_ROLES, directory_roles
from shared.domain.approval_rules import Rules
from shared.domain.clock_difference import described, difference, is_wrong
from shared.domain.ids import GroupId, UserId
from shared.domain.messages import JOBS, NOTIFICATIONS, ONBOARDING
from shared.handlers.groups.status import publish_counts
from shared.handlers.maintenance.alerts import check_alerts
from shared.handlers.maintenance.audit_hours import close_hours
from shared.handlers.maintenance.open_items import count_open_items
from shared.handlers.maintenance.protected_people import read_protected_people
from shared.handlers.maintenance.retention import forget_old
from shared.handlers.membership.canary import change_canary
from shared.handlers.membership.delta import query_deltas
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.membership.notifications_queue import process_notifications
from shared.handlers.membership.subscription import renew_subscription
from shared.handlers.membership.watching import watch_all, watch_errors
from shared.handlers.membership.webhook import Reply, receive
from shared.handlers.messaging.bulk_dead_letters import continue_stopped
from shared.handlers.messaging.dead_letters import drain
from shared.handlers.messaging.settlement import Work, settle
from shared.handlers.onboarding.onboarding_queue import Onboarding, resume_due_events
from shared.handlers.onboarding.profiles import drop_expired
from shared.handlers.operations.caller_limits import CallerLimits
from shared.handlers.operations.first_contact import continue_runs, start_daily
from shared.handlers.operations.jobs_queue import process_jobs
from shared.handlers.operations.members_queue import Members
from shared.handlers.operations.operations_queue import process_operations
from shared.handlers.operations.watchdog import watchdog
from shared.handlers.operations.writing import follow_setting
from shared.handlers.reconcile.grant_expiry import reconcile_due_users
from shared.handlers.reconcile.seats import assign_freed_licenses
from shared.handlers.reconcile.write_limiter import writing
from shared.handlers.views.first_day import note_complete
from shared.ports.telemetry import SILENT, Telemetry
from shared.ports.world import Policy, World

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SignIn:
    """The settings by which the HTTP door trusts a caller. `audiences`: none means that the platform's check suffices.
    `allowed_clients`: client ids of the applications whose tokens are accepted. `directory_roles`: role template id ->
    the app roles that it includes."""

    platform_authentication: bool
    tenant_id: str
    audiences: frozenset[str] = frozenset()
    allowed_clients: frozenset[str] = frozenset()
    directory_roles: Mapping[str, frozenset[str]] = field(
        default_factory=lambda: directory_roles(DEFAULT_DIRECTORY_ROLES)
    )
    allow_guests: bool = False


class App:
    """The doors of the app. Queue doors end their message as `settle` says; the HTTP door uses the world itself."""

    def __init__(self, world: World, sign_in: SignIn) -> None:
        self.world = world
        self.sign_in = sign_in
        self.limits = CallerLimits(world)
        self._members = Members(world)
        self._onboarding = Onboarding(world)

    async def process_jobs(self, body: bytes, enqueued_at: datetime | None = None) -> None:
        """A message of the queue `jobs`."""
        await self._take(JOBS, body, enqueued_at, partial(process_jobs, self.world))

    async def process_operations(self, queue: str, body: bytes, enqueued_at: datetime | None = None) -> None:
        """A message of the queue `operations` or `operations-bulk`."""
        await self._take(queue, body, enqueued_at, partial(process_operations, self.world, queue))

    async def process_members(self, queue: str, body: bytes, enqueued_at: datetime | None = None) -> None:
        """A message of the queue `members` or `members-bulk`."""
        await self._take(queue, body, enqueued_at, self._members.process)

    async def process_notifications(self, body: bytes, enqueued_at: datetime | None = None) -> None:
        """A message of the queue `notifications`."""
        await self._take(NOTIFICATIONS, body, enqueued_at, partial(process_notifications, self.world))

    async def process_hr_events(self, body: bytes, enqueued_at: datetime | None = None) -> None:
        """A message of the queue `onboarding`."""
        await self._take(ONBOARDING, body, enqueued_at, self._onboarding.take)

    async def _take(self, queue: str, body: bytes, enqueued_at: datetime | None, work: Work) -> None:
        telemetry = self.world.telemetry
        if enqueued_at is not None:
            # The runtime gives the time without a zone where the platform wrote none; it is UTC all the same.
            at = enqueued_at if enqueued_at.tzinfo else enqueued_at.replace(tzinfo=UTC)
            age = (self.world.clock.now() - at).total_seconds()
            telemetry.measure("licensing.queue.age", max(0.0, age), queue=queue)
        with telemetry.work(f"queue {queue}", trace_context.of_message(body), queue=queue):
            await settle(self.world, queue, body, work)

    async def notification(self, body: bytes, validation_token: str | None, platform: object = None) -> Reply:
        """A POST of Graph to the notification or lifecycle address. `platform`: the trace context that it passes on."""
        with self.world.telemetry.work("Graph notification", trace_context.within(platform)):
            return await receive(self.world, body, validation_token)

    async def renew_subscription(self) -> None:
        """The timer that renews Graph's subscription to changes."""
        await self._on_time("renew subscription", renew_subscription)

    async def query_deltas(self) -> None:
        """The timer that queries changes since the last delta query."""
        await self._on_time("query deltas", query_deltas)

    async def sync_all(self) -> None:
        """The timer of the nightly sync."""
        await self._on_time("sync all", sync_all, writes=True)
        await self._on_time("forget old", forget_old)
        await self._on_time("watch all", watch_all)
        await self._on_time("change canary", change_canary, writes=True)

    async def watch_errors(self) -> None:
        """The timer that reads members with an error of groups that Microsoft's licensing licenses."""
        await self._on_time("watch errors", watch_errors)

    async def read_protected_people(self) -> None:
        """The timer that reads the protected people once a day."""
        await self._on_time("read protected people", read_protected_people)

    async def reconcile_due_users(self) -> None:
        """The timer that reconciles users whose grace period has ended."""
        try:
            await self._on_time("reconcile due users", reconcile_due_users, writes=True)
        finally:
            await self._publish()

    async def resume_due_events(self) -> None:
        """The timer that resumes HR events that are due."""
        try:
            await self._on_time("resume due events", resume_due_events, writes=True)
        finally:
            await self._publish()

    async def _publish(self) -> None:
        """Write the counts that pages show, also after work that failed. Two timers do it, at seconds 20 and 45 of each
        minute, so counts and badges are right within 35 seconds, without another timer."""
        await self._on_time("publish counts", publish_counts)
        await self._on_time("count open items", count_open_items)

    async def assign_freed_licenses(self) -> None:
        """The timer that assigns freed licenses to waiting users."""
        await self._on_time("assign freed licenses", assign_freed_licenses, writes=True)

    async def close_audit_hours(self) -> None:
        """The timer that lists the audit entries of an hour in the log of digests."""
        await self._on_time("close audit hours", close_hours)

    async def start_first_contact(self) -> None:
        """The timer that starts the daily read-only run of the first-contact check."""
        await self._on_time("start first contact", start_daily)

    async def continue_first_contact(self) -> None:
        """The timer that continues open runs of the first-contact check."""
        await self._on_time("continue first contact", continue_runs)

    async def watchdog(self) -> None:
        """The timer that continues stopped work."""
        await self._on_time("follow setting", follow_setting)
        await self._on_time("watchdog", watchdog, writes=True)
        await self._on_time("drain dead letters", drain)
        await self._on_time("drop expired proposals", drop_expired)
        await self._on_time("continue bulk acts", continue_stopped)
        await self._on_time("check alerts", check_alerts)
        await self._on_time("note first day", note_complete)

    async def _on_time(self, name: str, work: Callable[[World], Awaitable[object]], *, writes: bool = False) -> None:
        """`writes`: the work leads to writes to Graph, so it waits while writing is turned off."""
        with self.world.telemetry.work(f"timer {name}", ""):
            if not writes or (await writing(self.world)).is_on:
                await work(self.world)


class SystemClock:
    """The machine's clock, compared with Graph's at each of its answers."""

    def __init__(self) -> None:
        self._ahead: timedelta | None = None
        self._logged_at: datetime | None = None

    def now(self) -> datetime:
        return datetime.now(UTC)

    def ahead(self) -> timedelta | None:
        return self._ahead

    def compare(self, date: str) -> None:
        """Compare with the Date header of an answer that has just come. A large difference is logged every five minutes
        at most."""
        now = self.now()
        self._ahead = difference(date, now)
        is_due = self._logged_at is None or abs(now - self._logged_at) > timedelta(minutes=5)
        if self._ahead is not None and is_wrong(self._ahead) and is_due:
            self._logged_at = now
            log.warning(
                "the clock is wrong: it is %s ahead_s=%.0f", described(self._ahead), self._ahead.total_seconds()
            )

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@lru_cache(maxsize=1)
def app() -> App:
    """The app of this process. Raises ConfigError naming every setting that is missing or wrong."""
    return compose(Settings.from_env(os.environ))


def compose(settings: Settings) -> App:
    """The app with its adapters. Nothing is connected yet: each adapter does that with its first call."""
    from shared.adapters.accounts import GraphAccounts, GraphMemberships
    from shared.adapters.append_blobs import AppendBlobs, BlobsConfig
    from shared.adapters.changes import GraphChangeFeed
    from shared.adapters.directory import GraphDirectory
    from shared.adapters.first_contact import GraphProbes
    from shared.adapters.graph import GraphClient
    from shared.adapters.licenses import GraphLicenseWriter
    from shared.adapters.native_licensing import GraphNativeLicensing
    from shared.adapters.privileged_roles import GraphPrivilegedRoles
    from shared.adapters.service_bus import ServiceBusConfig, ServiceBusQueue
    from shared.adapters.tables.client import Tables, TablesConfig
    from shared.adapters.tables.stores import table_stores
    from shared.adapters.telemetry import MeteredMemberships, MeteredWriter
    from shared.adapters.token_roles import TokenRoles

    credential = partial(credential_of, settings)
    roles = TokenRoles()
    telemetry = telemetry_of(settings)
    clock = SystemClock()
    graph = GraphClient(
        settings.graph_base_url,
        settings.graph_scope,
        lambda: roles.of(credential()),
        telemetry=telemetry,
        on_date=clock.compare,
    )
    directory = GraphDirectory(graph)
    tables = TablesConfig(
        settings.table_prefix,
        settings.tables_connection,
        settings.tables_endpoint,
        credential() if settings.tables_endpoint else None,
    )
    # The data account has the tables and the container of the digests.
    blobs = BlobsConfig(
        settings.tables_connection,
        (settings.tables_endpoint or "").replace(".table.", ".blob.") or None,
        credential() if settings.tables_endpoint else None,
    )
    service_bus = ServiceBusConfig(
        settings.service_bus_connection,
        settings.service_bus_namespace,
        credential() if settings.service_bus_namespace else None,
    )
    queue = ServiceBusQueue(service_bus)
    world = World(
        clock=clock,
        queue=queue,
        directory=directory,
        roles=GraphPrivilegedRoles(graph),
        licenses=MeteredWriter(GraphLicenseWriter(graph), telemetry),
        native=GraphNativeLicensing(graph, directory),
        changes=GraphChangeFeed(graph),
        accounts=GraphAccounts(graph),
        memberships=MeteredMemberships(GraphMemberships(graph, settings.graph_base_url), telemetry),
        probes=GraphProbes(graph),
        dead_letters=queue,
        queue_watch=queue,
        digest_log=AppendBlobs(blobs),
        stores=table_stores(Tables(tables)),
        policy=policy_of(settings),
        token=partial(secrets.token_hex, 16),
        telemetry=telemetry,
        graph_roles=roles.known,
        graph_token=roles.token,
    )
    sign_in = SignIn(
        settings.platform_authentication,
        settings.tenant_id,
        settings.api_audiences,
        settings.allowed_clients,
        settings.directory_roles,
        settings.allow_guests,
    )
    return App(world, sign_in)


def telemetry_of(settings: Settings) -> Telemetry:
    """Where spans and figures go: to Application Insights, to a collector, or nowhere."""
    from shared.adapters.telemetry import give_log_its_context, keep_addresses_out_of_the_log, to_azure, to_otlp

    keep_addresses_out_of_the_log()
    give_log_its_context()
    if settings.application_insights:
        credential = None
        if settings.has_identity_endpoint:
            from azure.identity import ManagedIdentityCredential

            credential = ManagedIdentityCredential(client_id=settings.managed_identity_client_id)
        return to_azure(settings.application_insights, credential)
    return to_otlp(settings.otlp_endpoint) if settings.otlp_endpoint else SILENT


def credential_of(settings: Settings) -> AsyncTokenCredential:
    """The managed identity where the platform offers one; on a developer's machine, whatever is signed in there."""
    from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

    if settings.has_identity_endpoint:
        return ManagedIdentityCredential(client_id=settings.managed_identity_client_id)
    return DefaultAzureCredential()


def policy_of(settings: Settings) -> Policy:
    """The settings handlers need."""
    return Policy(
        write_rate_per_s=settings.write_rate_per_s,
        write_burst=settings.write_burst,
        write_window_limit=settings.write_window_limit,
        write_window_s=settings.write_window_s,
        interactive_share=settings.interactive_share,
        writing=settings.writing,
        caller_reads_per_minute=settings.caller_reads_per_minute,
        caller_changes_per_minute=settings.caller_changes_per_minute,
        caller_previews_per_minute=settings.caller_previews_per_minute,
        caller_hr_events_per_minute=settings.caller_hr_events_per_minute,
        caller_open_previews=settings.caller_open_previews,
        removal_window_s=settings.removal_window.total_seconds(),
        removal_allowance_minimum=settings.removal_allowance_minimum,
        removal_allowance_percent=settings.removal_allowance_percent,
        removal_allowance_maximum=settings.removal_allowance_maximum,
        tenant_removal_allowance=settings.tenant_removal_allowance,
        protected_roles=settings.protected_people,
        protected_accounts=frozenset(map(UserId, settings.protected_accounts)),
        protected_groups=frozenset(map(GroupId, settings.protected_groups)),
        approval_expires_s=settings.approval_expires.total_seconds(),
        approval_rules=Rules(settings.two_person_above, settings.single_approver),
        canary_group=GroupId(settings.canary_group) if settings.canary_group else None,
        canary_member=UserId(settings.canary_member) if settings.canary_member else None,
        chunk_size=settings.chunk_size,
        outstanding_chunks=settings.outstanding_chunks,
        tenant_id=settings.tenant_id,
        public_url=settings.public_url,
        onboarding_lead_s=settings.onboarding_lead_time.total_seconds(),
        account_wait_s=settings.onboarding_account_wait.total_seconds(),
        hr_sources=settings.onboarding_sources,
        onboarding_groups=settings.onboarding_groups,
        onboarding_units=settings.onboarding_units,
        hr_senders=settings.onboarding_senders,
        leaver_removal_after_s=settings.leaver_removal_after.total_seconds(),
        leaver_minimum_delay_s=settings.leaver_minimum_delay.total_seconds(),
        leaver_allowance_minimum=settings.leaver_allowance_minimum,
        leaver_allowance_percent=settings.leaver_allowance_percent,
        payload_retention_s=settings.payload_retention.total_seconds(),
        retention_s=settings.retention.total_seconds(),
    )
