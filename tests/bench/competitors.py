"""What one would otherwise write: a loop with msgraph-sdk, and an asyncio script with $batch that honours Retry-After.

Both are written as an administrator would write them, against the same tenant; each runs as a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import urllib.parse
import urllib.request
from typing import Any
from uuid import UUID

BATCH = 20
PARALLEL = 4
MAX_ROUNDS = 50


def token(endpoint: str, client: str, secret: str) -> str:
    form = {
        "grant_type": "client_credentials",
        "client_id": client,
        "client_secret": secret,
        "scope": "https://graph.microsoft.com/.default",
    }
    request = urllib.request.Request(endpoint, urllib.parse.urlencode(form).encode())
    with urllib.request.urlopen(request, timeout=30) as response:
        return str(json.load(response)["access_token"])


async def sdk_loop(base: str, bearer: str, group: str, sku: str, limit: int) -> dict[str, int]:
    """One user at a time with the typed client, its own retries on."""
    from azure.core.credentials import AccessToken
    from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
    from msgraph.generated.models.assigned_license import AssignedLicense
    from msgraph.generated.users.item.assign_license.assign_license_post_request_body import (
        AssignLicensePostRequestBody,
    )
    from msgraph.graph_request_adapter import GraphRequestAdapter
    from msgraph.graph_service_client import GraphServiceClient

    class Credential:
        def get_token(self, *scopes: str, **options: Any) -> AccessToken:
            return AccessToken(bearer, int(time.time()) + 3600)

    adapter = GraphRequestAdapter(
        AzureIdentityAuthenticationProvider(Credential(), scopes=["https://graph.microsoft.com/.default"])
    )
    adapter.base_url = base
    client = GraphServiceClient(request_adapter=adapter)
    done = failed = 0
    page = await client.groups.by_group_id(group).transitive_members.get()
    members: list[Any] = []
    while page is not None:
        members += [each for each in page.value or [] if each.odata_type == "#microsoft.graph.user"]
        if page.odata_next_link is None or len(members) >= limit:
            break
        page = await client.groups.by_group_id(group).transitive_members.with_url(page.odata_next_link).get()
    for member in members[:limit]:
        body = AssignLicensePostRequestBody(
            add_licenses=[AssignedLicense(sku_id=UUID(sku), disabled_plans=[])], remove_licenses=[]
        )
        try:
            await client.users.by_user_id(str(member.id)).assign_license.post(body)
            done += 1
        except Exception:  # noqa: BLE001 - a script would count the user as failed and go on
            failed += 1
    return {"users": len(members[:limit]), "licensed": done, "failed": failed}


async def batch_script(base: str, bearer: str, group: str, sku: str, limit: int) -> dict[str, int]:
    """Batches of 20, a few at a time; rejected items again after the longest Retry-After."""
    import httpx

    headers = {"Authorization": f"Bearer {bearer}"}
    async with httpx.AsyncClient(headers=headers, timeout=60) as client:
        members = await _members(client, base, group, limit)
        waiting, licensed, failed = members, 0, 0
        for _ in range(MAX_ROUNDS):
            if not waiting:
                break
            batches = [waiting[at : at + BATCH] for at in range(0, len(waiting), BATCH)]
            waiting = []
            for start in range(0, len(batches), PARALLEL):
                calls = [_batch(client, base, batch, sku) for batch in batches[start : start + PARALLEL]]
                pause = 0.0
                for ok, bad, again, retry_after in await asyncio.gather(*calls):
                    licensed, failed = licensed + ok, failed + bad
                    waiting += again
                    pause = max(pause, retry_after)
                await asyncio.sleep(pause)
        return {"users": len(members), "licensed": licensed, "failed": failed + len(waiting)}


async def _members(client: Any, base: str, group: str, limit: int) -> list[str]:
    url = f"{base}/groups/{group}/transitiveMembers?$select=id&$top=999"
    found: list[str] = []
    while url and len(found) < limit:
        page = (await client.get(url)).json()
        found += [each["id"] for each in page["value"] if each["@odata.type"] == "#microsoft.graph.user"]
        url = page.get("@odata.nextLink")
    return found[:limit]


async def _batch(client: Any, base: str, users: list[str], sku: str) -> tuple[int, int, list[str], float]:
    body = {"addLicenses": [{"skuId": sku, "disabledPlans": []}], "removeLicenses": []}
    requests = [
        {
            "id": user,
            "method": "POST",
            "url": f"/users/{user}/assignLicense",
            "headers": {"Content-Type": "application/json"},
            "body": body,
        }
        for user in users
    ]
    answers = (await client.post(f"{base}/$batch", json={"requests": requests})).json()["responses"]
    again = [each["id"] for each in answers if each["status"] == 429]
    waits = [float(each.get("headers", {}).get("Retry-After", 5)) for each in answers if each["status"] == 429]
    licensed = sum(each["status"] == 200 for each in answers)
    return licensed, len(answers) - licensed - len(again), again, max(waits, default=0.0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.competitors", description=__doc__)
    parser.add_argument("kind", choices=("loop", "script"))
    for name in ("base", "token-endpoint", "secret", "group", "sku"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--limit", type=int, required=True)
    options = parser.parse_args()
    bearer = token(options.token_endpoint, options.kind, options.secret)
    run = sdk_loop if options.kind == "loop" else batch_script
    began, cpu = time.monotonic(), time.process_time()
    result = asyncio.run(run(options.base, bearer, options.group, options.sku, options.limit))
    seconds = round(time.monotonic() - began, 2)
    print(json.dumps({**result, "seconds": seconds, "cpuSeconds": round(time.process_time() - cpu, 2)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
