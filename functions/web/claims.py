"""The claims that App Service hands on in `x-ms-client-principal`, read and never trusted further than they say.

The header holds the claims of the token that came in: the access token of a program, or the id token of a sign-in on
the page. Source: "Work with user identities in Azure App Service authentication"
(learn.microsoft.com/azure/app-service/configure-authentication-user-identities). It promises no claim by name, so every
claim can be missing.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain.ids import is_guid

HEADER = "x-ms-client-principal"
MAX_HEADER = 64 * 1024
"""Characters of the header that are read: the front end of App Service takes no more headers than that either."""

CLOCK_SKEW = timedelta(minutes=5)
"""How far a claim's time can be ahead of this machine's clock: the tolerance of Microsoft's own validation
(TokenValidationParameters.DefaultClockSkew, learn.microsoft.com/dotnet/api/microsoft.identitymodel.tokens)."""

NAMES: Mapping[str, str] = {
    "http://schemas.microsoft.com/identity/claims/tenantid": "tid",
    "http://schemas.microsoft.com/identity/claims/objectidentifier": "oid",
    "http://schemas.microsoft.com/identity/claims/scope": "scp",
    "http://schemas.microsoft.com/identity/claims/identityprovider": "idp",
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/role": "roles",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name": "name",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier": "sub",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn": "upn",
    "azp": "appid",
}
"""Long claim types as the platform may write them, and the short ones that mean the same."""


class Claims:
    """Claims by short name; a name can have several values."""

    def __init__(self, values: Mapping[str, list[str]]) -> None:
        self._values = values

    @classmethod
    def of(cls, header: str) -> Claims:
        """The claims of the header. Raises ValueError for one that is not of the platform's form."""
        try:
            if len(header) > MAX_HEADER:
                raise ValueError("the principal is too long")
            value: Any = json.loads(base64.b64decode(header, validate=True))
            if value["auth_typ"] != "aad":
                raise ValueError("the principal is not of Entra")
            found: dict[str, list[str]] = {}
            for claim in value["claims"]:
                name, text = claim["typ"], claim["val"]
                if not isinstance(name, str) or not isinstance(text, str):
                    raise TypeError("a claim is no text")
                found.setdefault(NAMES.get(name, name), []).append(text)
        except (binascii.Error, ValueError, TypeError, KeyError, RecursionError) as fault:
            raise ValueError("the principal cannot be read") from fault
        return cls(found)

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def only(self, name: str) -> str:
        """The one value of a claim, empty for none or for several that differ."""
        values = set(self.all(name))
        return values.pop() if len(values) == 1 else ""

    def words(self, name: str) -> set[str]:
        """The words of a claim that lists them with blanks between, such as `scp`."""
        return {word for text in self.all(name) for word in text.split()}

    def guid(self, name: str) -> str:
        """The one value of a claim that is a GUID, in lower case; else empty."""
        text = self.only(name).lower()
        return text if is_guid(text) else ""

    def time(self, name: str, now: datetime) -> datetime | None:
        """The time of a claim in seconds since 1970. None if it is missing, given twice, no number, or in the future:
        an unknown time must not look recent."""
        text = self.only(name)
        if not (text.isascii() and text.isdecimal() and len(text) <= 11):
            return None
        at = datetime.fromtimestamp(int(text), UTC)
        return at if at <= now + CLOCK_SKEW else None
