"""`python -m local.tenant`: run one simulated tenant until SIGTERM or SIGINT, then exit 0.

Prints one JSON line with its addresses when it is ready.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from local.tenant.http.server import SimulatedTenant
from local.tenant.profile import read_profile


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.tenant", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--members", type=int, default=200, help="users in the group called main; 0 for an empty tenant"
    )
    parser.add_argument("--identity-header", default="local", help="secret of the managed identity endpoint")
    parser.add_argument("--client-secret", default="local", help="secret of every declared client")
    parser.add_argument("--signing-key", default=None, help="HS256 key of the tokens, at least 32 characters")
    parser.add_argument("--latency-ms", type=float, nargs=2, default=None, metavar=("LEAST", "MOST"))
    parser.add_argument("--stale-seconds", type=float, default=None)
    parser.add_argument("--quota-scale", type=float, default=None)
    parser.add_argument("--quota-kind", choices=("bucket", "window"), default=None)
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON object, as PATCH /_tenant/settings takes")
    parser.add_argument("--profile", type=Path, default=None, help="recording of a first-contact run to behave like")
    parser.add_argument("--options", type=json.loads, default={}, help="JSON object, more arguments of the generator")
    return parser.parse_args(argv)


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    given = {
        "latencyMs": arguments.latency_ms,
        "staleSeconds": arguments.stale_seconds,
        "quotaScale": arguments.quota_scale,
        "quotaKind": arguments.quota_kind,
    }
    recorded = read_profile(arguments.profile) if arguments.profile else {}
    return {**recorded, **{name: value for name, value in given.items() if value is not None}, **arguments.settings}


async def _run(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tenant = SimulatedTenant(
        arguments.port,
        members=arguments.members,
        seed=arguments.seed,
        identity_header=arguments.identity_header,
        client_secret=arguments.client_secret,
        signing_key=arguments.signing_key,
        settings=_settings(arguments),
        options=arguments.options,
    )
    async with tenant:
        ready = {
            "port": tenant.port,
            "graph": tenant.graph_url,
            "identityEndpoint": f"{tenant.url}/msi/token",
            "tokenEndpoint": f"{tenant.url}/{tenant.state.directory.tenant_id}/oauth2/v2.0/token",
            "control": f"{tenant.url}/_tenant",
            "tenantId": tenant.state.directory.tenant_id,
            "clientId": tenant.state.clients["product"].app_id,
            "groups": tenant.state.summary.get("groups", {}),
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> int:
    """Run until stopped, and return 0."""
    asyncio.run(_run(_arguments(sys.argv[1:])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
