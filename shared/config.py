"""Settings: the one place that reads the environment, once, with all faults reported together.

The composition root turns these values into arguments of adapters and handlers; no other module sees them. Names are
those of the function app's settings; durations are ISO 8601.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from shared.domain.access import DEFAULT_DIRECTORY_ROLES
from shared.domain.errors import ConfigError
from shared.domain.hr_events import Sources
from shared.domain.hr_senders import Senders
from shared.domain.ids import GroupId
from shared.domain.writing import WritingSetting
from shared.setting_values import Reader

OUTSTANDING_S = 30.0
MIN_OUTSTANDING_CHUNKS = 24


_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the function app."""

    tenant_id: str
    """TENANT_ID: the directory whose users are licensed and can sign in, a GUID, kept in lower case."""
    service_bus_connection: str | None
    """ServiceBusConnection: a connection string, for emulators; excludes the namespace."""
    service_bus_namespace: str | None
    """ServiceBusConnection__fullyQualifiedNamespace: `<name>.servicebus.windows.net`, with the managed identity."""
    tables_connection: str | None
    """TablesConnection: a connection string, for emulators; excludes the endpoint."""
    tables_endpoint: str | None
    """TablesConnection__endpoint: `https://<account>.table.core.windows.net`, with the managed identity."""
    table_prefix: str
    """TABLE_PREFIX: begins the name of every table, 2 to 20 letters and digits; lets environments share an account."""
    graph_base_url: str
    """GRAPH_BASE_URL: where Graph is, with the version; plain http only on this machine, so that no token leaves it."""
    graph_scope: str
    """GRAPH_SCOPE: what tokens are asked for."""
    managed_identity_client_id: str | None
    """AZURE_CLIENT_ID: which user-assigned managed identity to be; empty where the app has a system-assigned one."""
    has_identity_endpoint: bool
    """Whether IDENTITY_ENDPOINT is set, as the platform does where a managed identity can be had; azure-identity reads
    its value itself."""
    platform_authentication: bool
    """WEBSITE_AUTH_ENABLED: set by App Service where its authentication is on; without it every HTTP request is
    rejected, since anybody could send the header that names the caller."""
    api_audiences: frozenset[str]
    """API_AUDIENCE: audiences of tokens that the HTTP API accepts, comma-separated; none: the platform's own check
    suffices. A sign-in on the page has the app's client id as its audience."""
    allowed_clients: frozenset[str]
    """ALLOWED_CLIENTS: client ids of the applications whose access tokens the HTTP API takes, separated by commas.
    None: the API takes no token, and only people on the page are let in."""
    allow_guests: bool
    """ALLOW_GUESTS: whether guests of the tenant who have a role are let in, true or false."""
    directory_roles: Mapping[str, frozenset[str]]
    """DIRECTORY_ROLES: what people with a directory role can do, as `name=role,role;name=role`; `none`: only app roles
    count. A directory role is named by its name or its template id, a role as in docs/roles.md."""
    public_url: str
    """PUBLIC_URL: where Graph reaches this app for change notifications, `https://<app>.azurewebsites.net`, without a
    path; empty: no notifications are asked for, and changes are found by delta and sync only."""
    application_insights: str
    """APPLICATIONINSIGHTS_CONNECTION_STRING: set by the platform where Application Insights is used; spans and figures
    go there."""
    otlp_endpoint: str
    """OTEL_EXPORTER_OTLP_ENDPOINT: a collector for spans and figures by OTLP over HTTP, where there is no Application
    Insights; empty: none."""
    write_rate_per_s: float
    """WRITE_RATE_PER_SECOND: license writes per second, over 0. 19.5 leaves most of the tenant's 60 to other apps
    (learn.microsoft.com/graph/throttling-limits)."""
    write_burst: int
    """WRITE_BURST: writes that may go out at once after a rest, 1 or more; 30 is one and a half chunks."""
    write_window_limit: int
    """WRITE_WINDOW_LIMIT: writes in any window, 40 or more (what a chunk of 20 users may need); Graph's limit for one
    app and tenant."""
    write_window_s: float
    """WRITE_WINDOW_SECONDS: the length of that window, over 0; Graph's is 150 s."""
    interactive_share: float
    """INTERACTIVE_SHARE: part of the write rate kept for changes that a person waits for, over 0 and below 1."""
    writing: WritingSetting
    """WRITING: whether the app writes to Graph: `on`, `initially-off` (until an administrator turns it on), or `off`
    (whatever an administrator has set)."""
    caller_reads_per_minute: int
    """CALLER_READS_PER_MINUTE: reads a minute of one caller, in each process; 60 or more."""
    caller_changes_per_minute: int
    """CALLER_CHANGES_PER_MINUTE: changes and approvals a minute of one caller, in all processes; 1 or more."""
    caller_previews_per_minute: int
    """CALLER_PREVIEWS_PER_MINUTE: previews a minute of one caller, in all processes; 1 or more."""
    caller_hr_events_per_minute: int
    """CALLER_HR_EVENTS_PER_MINUTE: HR events a minute of one caller by HTTP, in all processes; 1 or more."""
    caller_open_previews: int
    """CALLER_OPEN_PREVIEWS: previews of one caller that are not complete at a time; 1 or more."""
    removal_window: timedelta
    """REMOVAL_WINDOW: how long a removal waits until it is read again and decided with the others of
    its group. ISO 8601, 0 to 1 day."""
    removal_allowance_minimum: int
    """REMOVAL_ALLOWANCE_MINIMUM: removals per group and 24 h that need no approval, whatever its size; 0 or more."""
    removal_allowance_percent: float
    """REMOVAL_ALLOWANCE_PERCENT: the same as a part of the group's size, where that is more; 0 to 100."""
    removal_allowance_maximum: int
    """REMOVAL_ALLOWANCE_MAXIMUM: no group's removals per 24 h without an approval are more than this; 0 or more."""
    tenant_removal_allowance: int
    """TENANT_REMOVAL_ALLOWANCE: people of the tenant that can lose licenses in 24 h without an approval; 0 or more."""
    protected_people: bool
    """PROTECTED_PEOPLE: `on`, or `off`: people with a privileged directory role are not protected. While it is on, all
    removals wait until the role holders have been read once, which needs `grant-graph-permissions.sh
    --with protected-people`."""
    protected_accounts: frozenset[str]
    """PROTECTED_ACCOUNTS: object ids of further people whose licenses are removed only with an approval, such as
    emergency accounts and the board, comma-separated; also when PROTECTED_PEOPLE is off."""
    protected_groups: frozenset[str]
    """PROTECTED_GROUPS: object ids of groups whose members are protected in the same way, comma-separated; also when
    PROTECTED_PEOPLE is off."""
    two_person_above: int
    """TWO_PERSON_ABOVE: people up to which a person can approve the removals of their own request; above it, and for
    protected people, another person must. 0 or more."""
    approval_expires: timedelta
    """APPROVAL_EXPIRES: how long an approval waits for a person. Then it counts as rejected, and removals that are
    still due are requested again after the same time. ISO 8601, 1 to 365 days."""
    single_approver: bool
    """SINGLE_APPROVER: true where one administrator is alone: the same person can approve after 24 hours, with an
    alert. True or false."""
    onboarding_lead_time: timedelta
    """ONBOARDING_LEAD_TIME: how long before the effective date a joiner is processed. ISO 8601, 0 to 60 days."""
    onboarding_account_wait: timedelta
    """ONBOARDING_ACCOUNT_WAIT: how long a joiner or mover waits for the account after the effective date. ISO 8601, 0
    to 90 days."""
    onboarding_sources: Sources
    """ONBOARDING_SOURCES: how the events of each HR system are ordered (`sequence`, `time` or `arrival`) and in which
    time zone their dates begin, comma-separated: `urn:hr:example sequence Europe/Berlin, * arrival UTC`. `*` is for any
    other system. Zones are names of the IANA database."""
    onboarding_groups: frozenset[GroupId] | None
    """ONBOARDING_GROUPS: ids of the groups whose members HR events may change, comma-separated, or
    `administrativeUnit:` and the id of a unit for all its groups; `none`: no group. If it is absent, HR may change no
    group; after an upgrade, those of the existing profiles for 30 days."""
    onboarding_units: frozenset[str]
    """ONBOARDING_GROUPS: the administrative units among them."""
    onboarding_senders: Senders | None
    """ONBOARDING_SENDERS: the permitted senders of each HR system, comma-separated. Each entry has the source, then
    client ids of applications or object ids of people, or `queue` if it comes by the queue. An example is
    `urn:a 11111111-2222-4333-8444-555555555555, urn:b queue`. `none` permits no sender, and so does an absent setting.
    After an upgrade, an absent setting permits former senders for 30 days."""
    leaver_removal_after: timedelta
    """LEAVER_REMOVAL_AFTER: how long after the effective date the licenses of a leaver go whose event does not say; the
    mailbox can be handed over until then. ISO 8601, 0 to 365 days."""
    leaver_minimum_delay: timedelta
    """LEAVER_MINIMUM_DELAY: how long a leaver keeps the licenses in any case, from the arrival of the event, whatever
    it says of date and delay. ISO 8601, 0 to 30 days."""
    leaver_allowance_minimum: int
    """LEAVER_ALLOWANCE_MINIMUM: leavers per 24 h that need no approval; 0 or more."""
    leaver_allowance_percent: float
    """LEAVER_ALLOWANCE_PERCENT: the same as a part of the licensed headcount, if that is more; 0 to 100."""
    retention: timedelta
    """RETENTION: how long ended operations with their lists, HR events that ended, permits, dead letters and audit
    entries (by whole months) are kept. ISO 8601, 31 to 3660 days."""
    payload_retention: timedelta
    """PAYLOAD_RETENTION: how long the content of an HR event is kept after its end, and how long dead letters and their
    replayed messages are kept. ISO 8601, 1 to 365 days."""
    canary_group: str
    """CANARY_GROUP: object id of a group without licenses, whose membership changes prove daily that changes reach the
    app. If absent, nothing proves it."""
    canary_member: str
    """CANARY_MEMBER: object id of a user whom the app adds to CANARY_GROUP and removes from it by turns, once a day.
    That needs `GroupMember.ReadWrite.All`. If absent, a person changes the membership."""
    chunk_size: int
    """CHUNK_SIZE: users of one message, 1 to 20; 20 is Graph's limit for one $batch
    (learn.microsoft.com/graph/json-batching)."""
    outstanding_chunks: int
    """OUTSTANDING_CHUNKS: chunks of one operation under way at a time, 1 or more. If absent, it is computed: 30 s of
    work at the write rate, so that pause and cancel take effect soon. It is at least 24, so that unchanged users are
    processed fast."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """The settings in `env`. Raises ConfigError naming every fault, never a value that may be a secret."""
        read = Reader(env)
        rate = read.number("WRITE_RATE_PER_SECOND", 19.5, above=0.0)
        chunk_size = read.whole("CHUNK_SIZE", 20, at_least=1, at_most=20)
        service_bus = read.connection("ServiceBusConnection", "fullyQualifiedNamespace")
        tables = read.connection("TablesConnection", "endpoint")
        hr_groups, hr_units = read.hr_groups("ONBOARDING_GROUPS")
        settings = cls(
            tenant_id=read.guid("TENANT_ID"),
            service_bus_connection=service_bus[0],
            service_bus_namespace=service_bus[1],
            tables_connection=tables[0],
            tables_endpoint=tables[1],
            table_prefix=read.matching("TABLE_PREFIX", "gbl", _PREFIX, "a letter, then 1 to 19 letters or digits"),
            graph_base_url=read.url("GRAPH_BASE_URL", "https://graph.microsoft.com/v1.0"),
            graph_scope=read.text("GRAPH_SCOPE", "https://graph.microsoft.com/.default"),
            managed_identity_client_id=read.text("AZURE_CLIENT_ID", "") or None,
            has_identity_endpoint=bool(read.text("IDENTITY_ENDPOINT", "")),
            platform_authentication=read.flag("WEBSITE_AUTH_ENABLED"),
            api_audiences=read.words("API_AUDIENCE"),
            allowed_clients=read.guids("ALLOWED_CLIENTS"),
            allow_guests=read.flag("ALLOW_GUESTS"),
            directory_roles=read.directory_roles("DIRECTORY_ROLES", DEFAULT_DIRECTORY_ROLES),
            public_url=read.origin("PUBLIC_URL"),
            application_insights=read.text("APPLICATIONINSIGHTS_CONNECTION_STRING", ""),
            otlp_endpoint=read.url("OTEL_EXPORTER_OTLP_ENDPOINT", "") if env.get("OTEL_EXPORTER_OTLP_ENDPOINT") else "",
            write_rate_per_s=rate,
            write_burst=read.whole("WRITE_BURST", 30, at_least=1),
            write_window_limit=read.whole("WRITE_WINDOW_LIMIT", 3000, at_least=40),
            write_window_s=read.number("WRITE_WINDOW_SECONDS", 150.0, above=0.0),
            interactive_share=read.number("INTERACTIVE_SHARE", 0.2, above=0.0, below=1.0),
            writing=read.one_of("WRITING", WritingSetting.ON, WritingSetting),
            caller_reads_per_minute=read.whole("CALLER_READS_PER_MINUTE", 1200, at_least=60),
            caller_changes_per_minute=read.whole("CALLER_CHANGES_PER_MINUTE", 60, at_least=1),
            caller_previews_per_minute=read.whole("CALLER_PREVIEWS_PER_MINUTE", 300, at_least=1),
            caller_hr_events_per_minute=read.whole("CALLER_HR_EVENTS_PER_MINUTE", 6000, at_least=1),
            caller_open_previews=read.whole("CALLER_OPEN_PREVIEWS", 50, at_least=1),
            removal_window=read.duration("REMOVAL_WINDOW", timedelta(minutes=5), at_most=timedelta(days=1)),
            removal_allowance_minimum=read.whole("REMOVAL_ALLOWANCE_MINIMUM", 20, at_least=0),
            removal_allowance_percent=read.number("REMOVAL_ALLOWANCE_PERCENT", 2.0, at_least=0.0, at_most=100.0),
            removal_allowance_maximum=read.whole("REMOVAL_ALLOWANCE_MAXIMUM", 200, at_least=0),
            tenant_removal_allowance=read.whole("TENANT_REMOVAL_ALLOWANCE", 500, at_least=0),
            protected_people=read.switch("PROTECTED_PEOPLE"),
            protected_accounts=read.guids("PROTECTED_ACCOUNTS"),
            protected_groups=read.guids("PROTECTED_GROUPS"),
            two_person_above=read.whole("TWO_PERSON_ABOVE", 50, at_least=0),
            approval_expires=read.duration(
                "APPROVAL_EXPIRES", timedelta(days=30), at_least=timedelta(days=1), at_most=timedelta(days=365)
            ),
            single_approver=read.flag("SINGLE_APPROVER"),
            onboarding_lead_time=read.duration("ONBOARDING_LEAD_TIME", timedelta(0), at_most=timedelta(days=60)),
            onboarding_account_wait=read.duration(
                "ONBOARDING_ACCOUNT_WAIT", timedelta(days=14), at_most=timedelta(days=90)
            ),
            onboarding_sources=read.sources("ONBOARDING_SOURCES"),
            onboarding_groups=hr_groups,
            onboarding_units=hr_units,
            onboarding_senders=read.senders("ONBOARDING_SENDERS"),
            leaver_removal_after=read.duration("LEAVER_REMOVAL_AFTER", timedelta(days=30), at_most=timedelta(days=365)),
            leaver_minimum_delay=read.duration("LEAVER_MINIMUM_DELAY", timedelta(days=1), at_most=timedelta(days=30)),
            leaver_allowance_minimum=read.whole("LEAVER_ALLOWANCE_MINIMUM", 20, at_least=0),
            leaver_allowance_percent=read.number("LEAVER_ALLOWANCE_PERCENT", 1.0, at_least=0.0, at_most=100.0),
            retention=read.duration(
                "RETENTION", timedelta(days=365), at_least=timedelta(days=31), at_most=timedelta(days=3660)
            ),
            payload_retention=read.duration(
                "PAYLOAD_RETENTION", timedelta(days=30), at_least=timedelta(days=1), at_most=timedelta(days=365)
            ),
            canary_group=read.optional_guid("CANARY_GROUP"),
            canary_member=read.optional_guid("CANARY_MEMBER"),
            chunk_size=chunk_size,
            outstanding_chunks=read.whole("OUTSTANDING_CHUNKS", outstanding_chunks(rate, chunk_size), at_least=1),
        )
        if read.faults:
            raise ConfigError(tuple(read.faults))
        return settings


def outstanding_chunks(rate_per_s: float, chunk_size: int) -> int:
    """Chunks that are 30 s of writes, and at least 24."""
    return max(MIN_OUTSTANDING_CHUNKS, math.ceil(rate_per_s * OUTSTANDING_S / max(1, chunk_size)))
