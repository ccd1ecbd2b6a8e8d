"""The composition root: what settings lead to, and that composing connects to nothing."""

from __future__ import annotations

import subprocess
import sys

from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

from shared.bootstrap import compose, credential_of
from shared.config import Settings

TENANT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
BY_STRING = {"TENANT_ID": TENANT, "ServiceBusConnection": "Endpoint=sb://x/", "TablesConnection": "AccountName=x"}
BY_IDENTITY = {
    "TENANT_ID": TENANT.upper(),
    "ServiceBusConnection__fullyQualifiedNamespace": "x.servicebus.windows.net",
    "TablesConnection__endpoint": "https://x.table.core.windows.net",
    "WEBSITE_AUTH_ENABLED": "true",
    "API_AUDIENCE": "api://a, b",
}


async def test_the_app_knows_whom_to_trust() -> None:
    app = compose(Settings.from_env(BY_IDENTITY))
    assert app.sign_in.platform_authentication
    assert (app.sign_in.tenant_id, app.sign_in.audiences) == (TENANT, frozenset({"api://a", "b"}))
    assert app.world.policy.tenant_id == TENANT
    assert len({app.world.token() for _ in range(3)}) == 3
    assert {len(app.world.token()), len(bytes.fromhex(app.world.token()))} == {32, 16}


async def test_the_credential_is_the_managed_identity_where_there_is_one() -> None:
    on_azure = Settings.from_env({**BY_STRING, "IDENTITY_ENDPOINT": "http://127.0.0.1:1/", "AZURE_CLIENT_ID": TENANT})
    async with credential_of(on_azure) as credential:
        assert isinstance(credential, ManagedIdentityCredential)
    async with credential_of(Settings.from_env(BY_STRING)) as credential:
        assert isinstance(credential, DefaultAzureCredential)


def test_composing_with_connection_strings_imports_no_sdk() -> None:
    script = (
        "import sys\nfrom shared.bootstrap import compose\nfrom shared.config import Settings\n"
        f"compose(Settings.from_env({BY_STRING!r}))\n"
        "heavy = ('azure.servicebus', 'azure.data', 'azure.identity', 'aiohttp', 'httpx', 'msgraph', 'kiota_http',\n"
        "         'opentelemetry', 'azure.monitor')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
