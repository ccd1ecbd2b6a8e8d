"""A small client of the running app and of the tenant's control API, for the demo and other tools on this machine."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from local.stack import Endpoints

TIMEOUT_S = 230.0
"""As long as Azure waits for an answer (learn.microsoft.com/azure/azure-functions/functions-scale)."""
ENDED = frozenset({"ProcessingComplete", "Cancelled", "Failed"})


class CallError(Exception):
    """An answer that is not 2xx; the text holds status and body."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text[:500]}")
        self.status = status


class Client:
    """Calls with an API token of the tenant's `outside` client."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._token = self._ask_token()

    @property
    def token(self) -> str:
        """The API token in use."""
        return self._token

    def _ask_token(self) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._endpoints.client_id,
            "client_secret": self._endpoints.client_secret,
            "scope": self._endpoints.api_scope,
        }
        request = urllib.request.Request(self._endpoints.token, urllib.parse.urlencode(form).encode())
        return str(_answer(request)["access_token"])

    def api(self, method: str, path: str, body: object | None = None) -> dict[str, Any]:
        """A call of the app, such as `api("GET", "/api/subscribedSkus")`. Raises CallError."""
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        data = json.dumps(body).encode() if body is not None else None
        url = path if path.startswith("http") else f"{self._endpoints.api}{path}"
        return _answer(urllib.request.Request(url, data, headers, method=method))

    def save_profile(self, name: str, profile: object) -> None:
        """One person proposes a profile, and another one approves it. Raises CallError."""
        proposed = self.decide(f"/api/onboarding/profiles/{name}", profile, "PUT")
        if "proposedBy" in proposed:
            path = f"/api/onboarding/proposals/{name}/approve"
            self.decide(path, {"version": proposed["version"]}, role="License Administrator")

    def decide(
        self, path: str, body: object, method: str = "POST", role: str = "Global Administrator"
    ) -> dict[str, Any]:
        """A call after a new sign-in of a person on the page, such as an approval. Raises CallError."""
        headers = {"cookie": self.signed_in(role), "content-type": "application/json", "x-requested-with": "local"}
        data = json.dumps(body).encode()
        return _answer(urllib.request.Request(f"{self._endpoints.api}{path}", data, headers, method=method))

    def signed_in(self, role: str = "Global Administrator") -> str:
        """The cookie of a person who has just signed in on the page."""
        form = urllib.parse.urlencode({"role": role, "next": "/"}).encode()
        with _NO_REDIRECT.open(f"{self._endpoints.api}/.auth/login", form, timeout=TIMEOUT_S) as signed_in:
            return str(signed_in.headers["set-cookie"]).split(";")[0]

    def form(self, path: str, fields: dict[str, str], cookie: str) -> str:
        """The answer to a form that a person sends on the page, whole. Raises CallError."""
        headers = {
            "cookie": cookie,
            "accept": "text/html",
            "content-type": "application/x-www-form-urlencoded",
            "sec-fetch-site": "same-origin",
        }
        data = urllib.parse.urlencode(fields).encode()
        return _text(urllib.request.Request(f"{self._endpoints.api}{path}", data, headers, method="POST"))

    def page(self, path: str) -> str:
        """A view of the page, whole. Raises CallError."""
        headers = {"authorization": f"Bearer {self._token}", "accept": "text/html"}
        return _text(urllib.request.Request(f"{self._endpoints.api}{path}", headers=headers))

    def tenant(self, method: str, path: str, body: object | None = None) -> dict[str, Any]:
        """A call of the tenant's control API, such as `tenant("GET", "/metrics")`."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self._endpoints.control}{path}", data, method=method)
        request.add_header("content-type", "application/json")
        return _answer(request)

    def fire(self, timer: str) -> None:
        """Run a timer function now, as the host's admin endpoint does."""
        request = urllib.request.Request(f"{self._endpoints.api}/admin/functions/{timer}", b"{}", method="POST")
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):
            pass

    def operation(self, operation_id: str) -> dict[str, Any]:
        return self.api("GET", f"/api/operations/{operation_id}")

    def ended(self, operation_id: str, timeout_s: float, pause_s: float = 0.3) -> dict[str, Any]:
        """The operation once it has ended or waits for approval. Raises TimeoutError."""
        ending = time.monotonic() + timeout_s
        while time.monotonic() < ending:
            operation = self.operation(operation_id)
            if operation["state"] in ENDED or operation["state"] == "AwaitingApproval":
                return operation
            time.sleep(pause_s)
        raise TimeoutError(f"operation {operation_id} had not ended after {timeout_s:.0f} s")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Hands a redirect on as the answer."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        return fp


_NO_REDIRECT = urllib.request.build_opener(_NoRedirect)


def _text(request: urllib.request.Request) -> str:
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as fault:
        raise CallError(fault.code, fault.read().decode(errors="replace")) from fault


def _answer(request: urllib.request.Request) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            text = response.read()
    except urllib.error.HTTPError as fault:
        raise CallError(fault.code, fault.read().decode("utf-8", "replace")) from fault
    answer: dict[str, Any] = json.loads(text) if text else {}
    return answer
