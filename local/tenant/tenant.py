"""One tenant's parts together: directory, settings, quota, faults, counters, clients; what every handler is given."""

from __future__ import annotations

import random
import uuid
from collections import deque

from local.tenant import clock
from local.tenant.directory.catalog import Catalog
from local.tenant.directory.directory import Directory
from local.tenant.directory.variation import vary
from local.tenant.faults import Faults
from local.tenant.identity.permissions import Client, declared_clients
from local.tenant.identity.tokens import Identity, TokenIssuer
from local.tenant.licensing.native_engine import NativeLicensing, Pace
from local.tenant.licensing.rules import Rules
from local.tenant.metrics import Metrics
from local.tenant.notifications.sender import Sender
from local.tenant.notifications.subscriptions import GraphSubscriptions
from local.tenant.quota import Quota
from local.tenant.settings import Settings

TENANT_ID = str(uuid.uuid5(uuid.NAMESPACE_DNS, "fabrikam.tenant.example"))
"""The same for every simulated tenant, so that settings of a stack do not change with the seed."""


class Tenant:
    """State of one simulated tenant."""

    def __init__(self, settings: Settings, signing_key: str) -> None:
        self.settings = settings
        self.clients: dict[str, Client] = declared_clients()
        self.clients_by_id = {client.app_id: client for client in self.clients.values()}
        self.issuer = TokenIssuer(TENANT_ID, signing_key)
        self.quota = Quota(settings, TENANT_ID)
        self.faults = Faults()
        self.metrics = Metrics()
        self.summary: dict[str, object] = {}
        self.in_flight: list[str] = []
        self.license_writes = 0
        self.busy_until = 0.0
        self.identity_tokens: dict[str, tuple[str, int, float]] = {}
        self.delta_valid_from = 0.0
        self.graph_subscriptions = GraphSubscriptions()
        self.sender = Sender(self.graph_subscriptions, settings, TENANT_ID)
        self.chance = random.Random(13)
        self.recording: deque[bytes] = deque(maxlen=50_000)
        self.directory = Directory(TENANT_ID)
        self.directory.changes.listener = self.sender.offer
        self.native = NativeLicensing(self.directory, self.rules, self.pace)
        self.directory_changed()

    def replace_directory(self, directory: Directory, summary: dict[str, object]) -> None:
        """Replace the directory by a newly generated one, and reset counters and quotas."""
        if "tables" in summary:
            self.settings.patch({"tables": summary.pop("tables")})
        self.directory = self.native.directory = directory
        directory.changes.listener = self.sender.offer
        self.summary = summary
        self.metrics = Metrics()
        self.quota.reset()
        self.directory_changed()
        if self.settings.tables != "asPublished":
            self.lay_tables()

    def directory_changed(self) -> None:
        """After objects came or went: the tenant's size decides its quota."""
        self.quota.users = sum(1 for user in self.directory.users.values() if user.deleted is None)
        self.directory.history.horizon = self.settings.stale_seconds

    def rules(self) -> Rules:
        """The license rules under the switches of this moment."""
        settings = self.settings
        return Rules(
            self.directory.catalog,
            settings.prohibited_plans,
            optional_dependencies=settings.optional_dependencies,
            exclusions=settings.exclusions,
            exclusion_text=settings.exclusion_text,
            removal_of_inherited=settings.removal_of_inherited,
            removal_of_unknown_sku=settings.removal_of_unknown_sku,
            unknown_disabled_plan=settings.unknown_disabled_plan,
            failed_group_product=settings.failed_group_product,
        )

    def pace(self) -> Pace:
        """How native licensing works under the switches of this moment."""
        settings = self.settings
        return Pace(
            settings.native_delay_seconds,
            settings.native_span_seconds,
            settings.native_failure_share,
            settings.processing_state == "failed",
        )

    def lay_tables(self) -> None:
        """Tables as the switch `tables` says, whatever was changed before; withdrawn products are there again."""
        for sku_id in list(self.directory.withdrawn):
            self.directory.readmit(sku_id)
        self.directory.catalog = Catalog()
        if self.settings.tables == "bySeed":
            vary(self.directory, self.settings.exclusions, self.seed)

    @property
    def seed(self) -> int:
        """Seed of the generated tenant; 0 for one that was not generated."""
        return int(str(self.summary.get("seed", 0)))

    def read_moment(self) -> float | None:
        """The moment whose state reads see: None for now."""
        age, share = self.settings.stale_seconds, self.settings.stale_share
        lags = age > 0 and (share >= 1 or self.chance.random() < share)
        return clock.time() - age if lags else None

    def granted(self, identity: Identity) -> frozenset[str]:
        """The permissions of the caller."""
        client = self.clients_by_id.get(identity.app_id)
        if client is None or self.settings.permissions_from_token:
            return identity.roles
        return client.graph

    def client_name(self, app_id: str) -> str:
        """Name of a declared client, else the appId itself."""
        client = self.clients_by_id.get(app_id)
        return client.name if client else app_id
