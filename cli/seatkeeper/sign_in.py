"""The address of the app, and the sign-in of each request.

`--local` finds a running `make run`. Otherwise `SEATKEEPER_TOKEN` is used as it is. Without it, azure-identity asks the
environment, a federated credential, a managed identity, az or azd for a token of the app's scope.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from seatkeeper.errors import CliError
from seatkeeper.surroundings import Surroundings

URL, TOKEN, SCOPE = "SEATKEEPER_URL", "SEATKEEPER_TOKEN", "SEATKEEPER_SCOPE"
STACK = Path(".local") / "run" / "endpoints.json"
"""Written by `make run` while it runs."""

Headers = Callable[[], Mapping[str, str]]


@dataclass(frozen=True)
class SignIn:
    """`how`: the kind of sign-in, in words."""

    base: str
    headers: Headers
    how: str


def stored(surroundings: Surroundings) -> dict[str, str]:
    """The settings that `auth login` stored. Raises CliError for a file that cannot be read."""
    path = surroundings.config_file
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): str(value) for name, value in found.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, OSError) as fault:
        raise CliError(
            f"{path} cannot be read: {fault}.", "Delete the file, then run: seatkeeper auth login"
        ) from fault


def store(surroundings: Surroundings, values: Mapping[str, str]) -> Path:
    """Keep settings for later commands."""
    path = surroundings.config_file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(values), indent=2) + "\n", encoding="utf-8")
    return path


def address(surroundings: Surroundings, url: str) -> str:
    """The checked address of the app. Raises CliError."""
    found = url or surroundings.variables.get(URL, "") or stored(surroundings).get("url", "")
    if not found:
        raise CliError(
            "No address of the app is known.",
            f"Set {URL}, or run: seatkeeper auth login --url https://… (or use --local beside make run)",
            "NoAddress",
        )
    parts = urlsplit(found)
    is_loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise CliError(f"{found!r} is not an address. It must be like https://licensing.contoso.com.", "", "NoAddress")
    if parts.scheme == "http" and not is_loopback:
        raise CliError(f"{found} is not encrypted, and a token would be sent over it. Use https.", "", "NoAddress")
    return found.rstrip("/")


def sign_in(surroundings: Surroundings, url: str, *, local: bool, role: str) -> SignIn:
    """How to reach the app. Raises CliError."""
    if role and not local:
        raise CliError("--as chooses a role of the simulated sign-in and needs --local.")
    if local:
        return _local(surroundings, role)
    base = address(surroundings, url)
    token = surroundings.variables.get(TOKEN, "").strip()
    if token:
        return SignIn(base, lambda: {"authorization": f"Bearer {token}"}, TOKEN)
    scope = surroundings.variables.get(SCOPE, "") or stored(surroundings).get("scope", "")
    if not scope:
        raise CliError(
            "The scope of the app's tokens is not known.",
            f"Set {SCOPE} to api://CLIENT_ID/.default, run: seatkeeper auth login --scope …, or set {TOKEN}.",
            "NoScope",
        )
    return SignIn(base, AzureToken(scope), "azure-identity")


class AzureToken:
    """Tokens of the credential that works first; the same order as in other programs of Azure."""

    def __init__(self, scope: str) -> None:
        self._scope = scope
        self._credential: Any = None

    def __call__(self) -> Mapping[str, str]:
        from azure.core.exceptions import ClientAuthenticationError
        from azure.identity import CredentialUnavailableError, DefaultAzureCredential

        if self._credential is None:
            self._credential = DefaultAzureCredential(exclude_interactive_browser_credential=True)
        try:
            return {"authorization": f"Bearer {self._credential.get_token(self._scope).token}"}
        except (ClientAuthenticationError, CredentialUnavailableError) as fault:
            first = str(fault.message).strip().splitlines()[0]
            raise CliError(
                f"No token for {self._scope}: {first}",
                f"Run az login or azd auth login, or set {TOKEN}.",
                "SignInFailed",
            ) from fault


def _local(surroundings: Surroundings, role: str) -> SignIn:
    endpoints = _stack(surroundings)
    base = str(endpoints["apiBase"])
    if role:
        return SignIn(base, _Once(lambda: _session(surroundings, base, role)), f"make run, as {role}")
    return SignIn(base, _Once(lambda: _client_token(surroundings, endpoints)), "make run, as an application")


class _Once:
    """Headers that are made at the first request."""

    def __init__(self, make: Headers) -> None:
        self._make = make
        self._made: Mapping[str, str] | None = None

    def __call__(self) -> Mapping[str, str]:
        if self._made is None:
            self._made = self._make()
        return self._made


def _stack(surroundings: Surroundings) -> dict[str, Any]:
    for folder in (surroundings.folder, *surroundings.folder.parents):
        if (folder / STACK).is_file():
            found: dict[str, Any] = json.loads((folder / STACK).read_text(encoding="utf-8"))
            return found
    raise CliError(
        "No running `make run` was found.",
        "Start it in another terminal, and call seatkeeper in a folder of the same clone.",
        "NoLocalStack",
    )


def _client_token(surroundings: Surroundings, endpoints: Mapping[str, Any]) -> Mapping[str, str]:
    form = {
        "grant_type": "client_credentials",
        "client_id": str(endpoints["clientId"]),
        "client_secret": str(endpoints["clientSecret"]),
        "scope": str(endpoints["apiScope"]),
    }
    answer = _form(surroundings, str(endpoints["tokenEndpoint"]), form)
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


def _session(surroundings: Surroundings, base: str, role: str) -> Mapping[str, str]:
    answer = _form(surroundings, f"{base}/.auth/login", {"role": role, "next": "/"})
    cookie = answer.headers.get("set-cookie", "").split(";")[0]
    if not cookie:
        raise CliError(f"The simulated sign-in has no role {role!r}.", "The page of make run lists the roles.")
    return {"cookie": cookie, "x-requested-with": "seatkeeper"}


def _form(surroundings: Surroundings, url: str, form: Mapping[str, str]) -> Any:
    import httpx

    try:
        with httpx.Client(transport=surroundings.transport, timeout=30) as http:
            return http.post(url, data=dict(form))
    except httpx.HTTPError as fault:
        raise CliError(
            f"The stack of make run does not answer at {url}.", "Is it still running?", "NoAnswer"
        ) from fault
