"""Licenses that an administrator changes at Graph itself, beside the app, for tests on a stack."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from typing import Any

from tests.support.stack_journeys import PATIENCE_S, Journey


def assign_as_administrator(run: Journey, user_id: str, body: dict[str, Any]) -> None:
    """`assignLicense` of one user by the tenant's client `administrator`. Raises HTTPError for a rejection."""
    ends = run.stack.endpoints
    form = {
        "grant_type": "client_credentials",
        "client_id": "administrator",
        "client_secret": ends.client_secret,
        "scope": "https://graph.microsoft.com/.default",
    }
    asked = urllib.request.Request(ends.token, urllib.parse.urlencode(form).encode())
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        token = json.load(answer)["access_token"]
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    url = f"{ends.graph}/users/{user_id}/assignLicense"
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=PATIENCE_S).close()
