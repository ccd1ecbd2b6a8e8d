"""The one-machine stack: tables, broker, tenant, and the app's workers, on loopback, started and stopped as one.

The app under functions/ and shared/ gets only settings, as in Azure.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from local.host.auth import AUDIENCE, SESSION_AUDIENCE
from local.ports import HOST, free_port, require_free_ports
from local.processes import START_S, Process, StartError, Supervisor, stop_all
from local.tenant.identity.permissions import declared_clients

ROOT = Path(__file__).resolve().parent.parent
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's published development key (learn.microsoft.com/azure/storage/common/storage-use-azurite)."""

WRITES_PER_S = 18.0
BURST = 30
WINDOW_LIMIT = 3000
WINDOW_S = 150
"""The app's default budget at the true quota; the scale multiplies all but the window's length."""

HR_SOURCES = ("urn:hr:example", "urn:demo:hr")
"""HR systems of the documents and of the demo."""


def hr_senders(*sources: str) -> str:
    """The setting with which these sources come by queue, and by HTTP from the tenant's client `outside`."""
    outside = declared_clients()["outside"].app_id
    return ", ".join(f"{source} {outside} queue" for source in sources)


@dataclass(frozen=True)
class StackOptions:
    """`processes`: copies of each queue function. `scale`: factor of the simulated quota and of the app's budget.

    Ports of 0 are chosen. `settings` are further settings of the app, `tenant` further arguments of the tenant.
    """

    members: int = 2000
    seed: int = 1
    processes: int = 2
    scale: float = 1.0
    latency_ms: tuple[int, int] = (20, 60)
    state_dir: Path = ROOT / ".local"
    broker_config: Path = ROOT / "infra" / "servicebus-config.json"
    app_dir: Path = ROOT
    persistent: bool = False
    tables_log: bool = False
    """Whether the table service logs each request to `azurite.out`."""
    http_port: int = 0
    tenant_port: int = 0
    service_bus_port: int = 0
    tables_port: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    tenant: tuple[str, ...] = ()


@dataclass(frozen=True)
class Endpoints:
    """Where everything is, and what another program needs to use it."""

    api: str
    graph: str
    control: str
    token: str
    tenant_id: str
    client_id: str
    client_secret: str
    service_bus: str
    broker_control: str
    tables: str
    tables_connection: str
    table_prefix: str
    api_scope: str = f"{AUDIENCE}/.default"

    def json_line(self) -> str:
        """Everything as one line of JSON."""
        return json.dumps(
            {
                "apiBase": self.api,
                "graphBase": self.graph,
                "tenantControl": self.control,
                "tokenEndpoint": self.token,
                "tenantId": self.tenant_id,
                "clientId": self.client_id,
                "clientSecret": self.client_secret,
                "apiScope": self.api_scope,
                "serviceBusConnectionString": self.service_bus,
                "serviceBusControl": self.broker_control,
                "tableEndpoint": self.tables,
                "tableAccountName": ACCOUNT,
                "tableAccountKey": ACCOUNT_KEY,
                "tableConnectionString": self.tables_connection,
                "tablePrefix": self.table_prefix,
            }
        )


class Stack:
    """`with Stack(StackOptions()) as stack: stack.endpoints`; also stopped when starting fails half-way."""

    endpoints: Endpoints

    def __init__(self, options: StackOptions) -> None:
        self.options = options
        self.logs_dir = options.state_dir / "logs"
        self._parts: list[Process] = []
        self._workers: dict[str, list[Process]] = {}
        self._supervisor = Supervisor()
        self._broker_ports = (0, 0)
        self._secret = secrets.token_hex(24)
        self.signing_key = secrets.token_hex(48)
        """Signs tokens and sessions of the simulated tenant."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:  # Ctrl-C or a failed start: what was started so far must not stay behind
            self.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop everything; nothing is left running."""
        self._supervisor.stop()
        workers = [process for copies in self._workers.values() for process in copies]
        stop_all(workers)
        stop_all(self._parts)
        if not self.options.persistent:
            for name in ("azurite", "azurite-blobs"):
                shutil.rmtree(self.options.state_dir / name, ignore_errors=True)

    def workers(self, function: str) -> list[int]:
        """The pids of the running copies of a function; `http` and `timers` are names too."""
        return [process.pid for process in self._workers.get(function, ()) if process.pid is not None]

    def parts(self) -> dict[str, int]:
        """The running parts of the simulated world, by name, and their pids."""
        return {process.name: process.pid for process in self._parts if process.pid is not None}

    @property
    def functions(self) -> tuple[str, ...]:
        return tuple(self._workers)

    @property
    def restarts(self) -> int:
        """Workers that were started again after they had died."""
        return self._supervisor.restarts

    def kill(self, pid: int) -> None:
        """SIGKILL a worker; another one takes its place."""
        os.kill(pid, 9)

    def hold(self, part: str, *, on: bool) -> None:
        """Let `azurite`, `servicebus` or `tenant` hang, connections and all, or go on."""
        self._part(part).signal(signal.SIGSTOP if on else signal.SIGCONT)

    def lose_queue(self) -> None:
        """SIGKILL the broker, with every message it holds; connections are rejected until `new_queue`."""
        self._part("servicebus").signal(signal.SIGKILL)

    def new_queue(self) -> None:
        """Start an empty broker where the lost one was. Raises StartError."""
        broker = self._part("servicebus")
        broker.command = self._broker_command(*self._broker_ports)
        broker.start()
        broker.ready()

    def _part(self, name: str) -> Process:
        (process,) = [each for each in self._parts if each.name == name]
        return process

    def _start(self) -> None:
        options = self.options
        require_free_ports(
            {
                "--http-port": options.http_port,
                "--tenant-port": options.tenant_port,
                "--service-bus-port": options.service_bus_port,
                "--tables-port": options.tables_port,
            }
        )
        shutil.rmtree(self.logs_dir, ignore_errors=True)
        self.logs_dir.mkdir(parents=True)
        tables_port = self.options.tables_port or free_port()
        blobs_port = free_port()
        azurite, blobs = self._azurite(tables_port), self._azurite_blobs(blobs_port)
        broker = Process(
            "servicebus", self._broker_command(self.options.service_bus_port, 0), self.logs_dir, os.environ, ROOT
        )
        tenant = self._python("tenant", "local.tenant", *self._tenant_arguments())
        for process in (azurite, blobs, broker, tenant):
            self._parts.append(process)
            process.start()
        functions = self._functions()
        bus, simulated = broker.ready(), tenant.ready()
        self._broker_ports = (bus["port"], bus["controlPort"])
        wait_for_http(f"http://{HOST}:{tables_port}/{ACCOUNT}", azurite)
        wait_for_http(f"http://{HOST}:{blobs_port}/{ACCOUNT}", blobs)
        http_port = self.options.http_port or free_port()
        self.endpoints = self._endpoints(bus, simulated, (tables_port, blobs_port), http_port)
        self._start_workers(functions, http_port, simulated)

    def _broker_command(self, port: int, control_port: int) -> tuple[str, ...]:
        ports = ("--port", str(port), "--control-port", str(control_port))
        return (sys.executable, "-m", "local.servicebus", "--config", str(self.options.broker_config), *ports)

    def _tenant_arguments(self) -> tuple[str, ...]:
        options = self.options
        return (
            *("--port", str(options.tenant_port), "--members", str(options.members), "--seed", str(options.seed)),
            *("--quota-scale", str(options.scale), "--latency-ms", *map(str, options.latency_ms)),
            *("--settings", json.dumps({"notificationHttp": True})),
            *("--signing-key", self.signing_key, "--client-secret", self._secret, "--identity-header", "local"),
            *options.tenant,
        )

    def _azurite(self, port: int) -> Process:
        """Azurite's table service, with an index; in memory it must have a directory of its own, since it locks one."""
        directory = self.options.state_dir / "azurite"
        directory.mkdir(parents=True, exist_ok=True)
        program = ROOT / "local" / "node_modules" / ".bin" / "azurite-table"
        if not program.exists():
            raise StartError(f"Azurite is not installed ({program}); run: make setup")
        where = ("--location", str(directory)) if self.options.persistent else ("--inMemoryPersistence",)
        command = (
            "node",
            "--require",
            str(ROOT / "local" / "azurite.cjs"),
            str(program),
            "--tableHost",
            HOST,
            "--tablePort",
            str(port),
            *(() if self.options.tables_log else ("--silent",)),
            "--disableTelemetry",
            *where,
        )
        return Process("azurite", command, self.logs_dir, os.environ, directory)

    def _azurite_blobs(self, port: int) -> Process:
        """Azurite's blob service, for the digests of the audit log; it enforces no immutability policy."""
        directory = self.options.state_dir / "azurite-blobs"
        directory.mkdir(parents=True, exist_ok=True)
        program = str(ROOT / "local" / "node_modules" / ".bin" / "azurite-blob")
        where = ("--location", str(directory)) if self.options.persistent else ("--inMemoryPersistence",)
        options = (
            "--blobHost",
            HOST,
            "--blobPort",
            str(port),
            "--silent",
            "--disableTelemetry",
            "--skipApiVersionCheck",
        )
        return Process("azurite-blobs", (program, *options, *where), self.logs_dir, os.environ, directory)

    def _python(self, name: str, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Process:
        command = (sys.executable, "-m", module, *arguments)
        return Process(name, command, self.logs_dir, environment or os.environ, ROOT)

    def _functions(self) -> dict[str, str]:
        """The app's functions and their kinds, from its own metadata."""
        command = (sys.executable, "-m", "local.host", "--app-dir", str(self.options.app_dir), "--list")
        environment = {**os.environ, **self.options.settings}
        listed = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, timeout=START_S, check=False, env=environment
        )
        if listed.returncode:
            raise StartError(f"the function app cannot be indexed.\n{listed.stderr.strip()[-2000:]}")
        return {name: each["kind"] for name, each in json.loads(listed.stdout.splitlines()[-1]).items()}

    def _endpoints(
        self, bus: Mapping[str, int], tenant: Mapping[str, str], storage: tuple[int, int], http_port: int
    ) -> Endpoints:
        tables, blobs = (f"http://{HOST}:{port}/{ACCOUNT}" for port in storage)
        key = "SharedAccessKeyName=local;SharedAccessKey=local;UseDevelopmentEmulator=true"
        return Endpoints(
            api=f"http://{HOST}:{http_port}",
            graph=tenant["graph"],
            control=tenant["control"],
            token=tenant["tokenEndpoint"],
            tenant_id=tenant["tenantId"],
            client_id="outside",
            client_secret=self._secret,
            service_bus=f"Endpoint=sb://{HOST}:{bus['port']};{key}",
            broker_control=f"http://{HOST}:{bus['controlPort']}",
            tables=tables,
            tables_connection=(
                f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};TableEndpoint={tables};"
                f"BlobEndpoint={blobs};"
            ),
            table_prefix=self.options.settings.get("TABLE_PREFIX", "gbl"),
        )

    def app_settings(self, tenant: Mapping[str, Any]) -> dict[str, str]:
        """The app's settings, as the platform would set them."""
        scale = self.options.scale
        return {
            "TENANT_ID": self.endpoints.tenant_id,
            "AZURE_CLIENT_ID": tenant["clientId"],
            "ServiceBusConnection": self.endpoints.service_bus,
            "TablesConnection": self.endpoints.tables_connection,
            "TABLE_PREFIX": self.endpoints.table_prefix,
            "GRAPH_BASE_URL": self.endpoints.graph,
            "API_AUDIENCE": f"{AUDIENCE},{SESSION_AUDIENCE}",
            "ALLOWED_CLIENTS": ",".join(client.app_id for client in declared_clients().values() if client.api),
            "PUBLIC_URL": self.endpoints.api,
            "ONBOARDING_GROUPS": ",".join(tenant["groups"].values()) or "none",
            "ONBOARDING_SENDERS": hr_senders(*HR_SOURCES),
            "WEBSITE_AUTH_ENABLED": "True",
            "WRITE_RATE_PER_SECOND": str(WRITES_PER_S * scale),
            "WRITE_BURST": str(round(BURST * scale)),
            "WRITE_WINDOW_LIMIT": str(round(WINDOW_LIMIT * scale)),
            "WRITE_WINDOW_SECONDS": str(WINDOW_S),
            "IDENTITY_ENDPOINT": tenant["identityEndpoint"],
            "IDENTITY_HEADER": "local",
            # A removal would wait for the timer that reads the role holders.
            "PROTECTED_PEOPLE": "off",
            "LEAVER_MINIMUM_DELAY": "PT0S",
            **self.options.settings,
        }

    def _start_workers(self, functions: Mapping[str, str], http_port: int, tenant: Mapping[str, Any]) -> None:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AZURE_", "IDENTITY_"))}
        environment = {**inherited, **self.app_settings(tenant), "LOCAL_SIGNING_KEY": self.signing_key}
        host = ("--app-dir", str(self.options.app_dir))
        plans: list[tuple[str, str, tuple[str, ...]]] = []
        for function, kind in functions.items():
            if kind == "serviceBusTrigger":
                copies = range(self.options.processes)
                plans += [(function, f"{function}-{copy}", ("--function", function)) for copy in copies]
        if "timerTrigger" in functions.values():
            plans.append(("timers", "timers", ("--timers",)))
        if "httpTrigger" in functions.values():
            plans.append(("http", "http", ("--http", str(http_port))))
        for group, name, arguments in plans:
            worker = self._python(name, "local.host", *host, *arguments, environment=environment)
            self._workers.setdefault(group, []).append(worker)
            worker.start()
        workers = [worker for copies in self._workers.values() for worker in copies]
        for worker in workers:
            worker.ready()
        if "http" in self._workers:
            wait_for_http(f"{self.endpoints.api}/api/health", self._workers["http"][0])
        self._supervisor.watch(workers)


def wait_for_http(url: str, process: Process, timeout_s: float = START_S) -> None:
    """Wait until something answers, with whatever status. Raises StartError."""
    ending = time.monotonic() + timeout_s
    while time.monotonic() < ending:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if process.pid is None:
                raise StartError(f"{process.name} ended while starting.\n{process.log_tail()}") from None
            time.sleep(0.05)
    raise StartError(f"{process.name} did not answer at {url} within {timeout_s:.0f} s.\n{process.log_tail()}")
