"""The two ways to a token: App Service's managed identity endpoint, and client credentials at the sign-in service."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from local.tenant import clock
from local.tenant.identity.permissions import Client
from local.tenant.identity.tokens import API_AUDIENCE
from local.tenant.tenant import Tenant

GRAPH_SCOPE = "https://graph.microsoft.com/.default"
API_SCOPE = f"{API_AUDIENCE}/.default"
RENEWED_BEFORE_SECONDS = 300  # our own number


def managed_identity(tenant: Tenant, request: web.BaseRequest, secret: str) -> web.Response:
    """GET /msi/token?api-version=2019-08-01&resource=...[&client_id=] with X-IDENTITY-HEADER: the product's token.

    Shape: learn.microsoft.com/azure/app-service/overview-managed-identity, REST endpoint reference.
    """
    if request.headers.get("X-IDENTITY-HEADER") != secret:
        return _answer(401, {"statusCode": 401, "message": "The header X-IDENTITY-HEADER is missing or wrong."})
    resource = request.query.get("resource", "").rstrip("/")
    if request.query.get("api-version") != "2019-08-01" or not resource:
        return _answer(400, {"statusCode": 400, "message": "Needs api-version=2019-08-01 and resource."})
    client = tenant.clients["product"]
    fault = tenant.faults.strike("GET", "/msi/token", (client.app_id, client.name), naming="/msi/token")
    if fault is not None:
        return _answer(
            int(fault.get("status", 503)), {"statusCode": 503, "message": "unavailable, as a test requested"}
        )
    asked = request.query.get("client_id")
    if asked not in (None, client.app_id, client.name):
        return _answer(400, {"statusCode": 400, "message": f"No managed identity has the client id {asked}."})
    token, expires = _cached_token(tenant, client, resource)
    body = {
        "access_token": token,
        "expires_on": str(expires),
        "resource": resource,
        "token_type": "Bearer",
        "client_id": client.app_id,
    }
    return _answer(200, body)


def _cached_token(tenant: Tenant, client: Client, resource: str) -> tuple[str, int]:
    """The same token again for about a day, whatever was granted meanwhile (Azure/azure-sdk-for-net issue 27019)."""
    now = clock.time()
    token, expires, issued = tenant.identity_tokens.get(resource, ("", 0, 0.0))
    if now >= min(issued + tenant.settings.identity_cache_seconds, expires - RENEWED_BEFORE_SECONDS):
        token, expires = tenant.issuer.issue(client, resource, tenant.settings.token_lifetime_seconds)
        tenant.identity_tokens[resource] = (token, expires, now)
    return token, expires


async def client_credentials(tenant: Tenant, request: web.BaseRequest, secret: str) -> web.Response:
    """POST /{tenantId}/oauth2/v2.0/token, grant_type=client_credentials; client_id by appId or declared name."""
    form = await request.post()
    if request.path.split("/")[1].lower() not in (tenant.issuer.tenant_id, tenant.directory.domain):
        return _reject("invalid_request", 90002, f"Tenant '{request.path.split('/')[1]}' not found.")
    if form.get("grant_type") != "client_credentials":
        return _reject("unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
    client = _client(tenant, str(form.get("client_id", "")))
    if client is None:
        return _reject("unauthorized_client", 700016, "Application was not found in the directory.")
    if form.get("client_secret") != secret:
        return _reject("invalid_client", 7000215, "Invalid client secret provided.", status=401)
    audience = {GRAPH_SCOPE: GRAPH_SCOPE.removesuffix("/.default"), API_SCOPE: API_AUDIENCE}.get(
        str(form.get("scope", ""))
    )
    if audience is None:
        return _reject("invalid_scope", 70011, f"The provided scope is not valid; known: {GRAPH_SCOPE}, {API_SCOPE}.")
    lifetime = tenant.settings.token_lifetime_seconds
    token, expires = tenant.issuer.issue(client, audience, lifetime)
    left = expires - int(clock.time())
    return _answer(200, {"token_type": "Bearer", "expires_in": left, "ext_expires_in": left, "access_token": token})


def _client(tenant: Tenant, key: str) -> Client | None:
    return tenant.clients.get(key) or tenant.clients_by_id.get(key.lower())


def _reject(error: str, number: int, text: str, status: int = 400) -> web.Response:
    body: dict[str, Any] = {"error": error, "error_description": f"AADSTS{number}: {text}", "error_codes": [number]}
    return _answer(status, body)


def _answer(status: int, body: dict[str, Any]) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(body), content_type="application/json", headers={"Cache-Control": "no-store"}
    )
