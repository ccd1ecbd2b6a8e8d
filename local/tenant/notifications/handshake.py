"""The validation of an endpoint before a subscription is made for it.

learn.microsoft.com/graph/change-notifications-delivery-webhooks, "notificationUrl validation"; the first two texts are
as reported, the others our own wording.
"""

from __future__ import annotations

import uuid
from urllib.parse import quote

import aiohttp

from local.tenant.call import GraphError

_FAILED = "Subscription validation request failed."


async def validate_endpoints(urls: list[str], seconds: float) -> None:
    """Send each endpoint a token and wait for it. Raises GraphError 400 for the first that does not answer rightly."""
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        for url in urls:
            reason = await _fault(http, url)
            if reason:
                raise GraphError(400, "ValidationError", reason)


async def _fault(http: aiohttp.ClientSession, url: str) -> str:
    """The fault of an endpoint's answer; empty for none."""
    # Spaces and a colon are in Graph's own tokens; the rest shows whether the endpoint really decodes.
    token = f"Validation: Testing client application reachability for subscription Request-Id: {uuid.uuid4()} +%&=ü"
    address = f"{url}{'&' if '?' in url else '?'}validationToken={quote(token, safe='')}"
    try:
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        async with http.post(address, data=b"", headers=headers, allow_redirects=False) as answer:
            body = await answer.read()
            if answer.status != 200:
                return f"{_FAILED} Notification endpoint must respond with 200 OK to validation request."
            if answer.content_type != "text/plain":
                return f"{_FAILED} Content-Type of the response must be text/plain, not {answer.content_type}."
            if body != token.encode():
                return f"{_FAILED} Response must exactly match validationToken query parameter."
    except TimeoutError:
        return "Subscription validation request timed out."
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return f"{_FAILED} Notification endpoint could not be reached: {type(error).__name__}."
    return ""
