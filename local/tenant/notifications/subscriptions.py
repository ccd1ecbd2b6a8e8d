"""Subscriptions to change notifications: what a request for one must say, and the ones that are alive.

learn.microsoft.com/graph/api/subscription-post-subscriptions and .../resources/subscription. Texts of rejections are
our own wording unless a comment says otherwise.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from local.tenant.call import GraphError, denied, timestamp
from local.tenant.settings import Settings

LONGEST_LIFE = 41_760 * 60  # seconds; groups and users, resources/subscription "Subscription lifetime"
PER_APPLICATION = 100  # in one tenant; Microsoft's figures for directory resources
PER_TENANT = 1_000  # of all applications
_STATE_LIMIT = 128  # characters of clientState, resources/subscription
_RESOURCE = re.compile(r"^/?groups(?:/([0-9a-f-]{36})(?:/members)?)?$", re.IGNORECASE)
_CHANGES = frozenset({"created", "updated", "deleted"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_REQUIRED = ("changeType", "notificationUrl", "resource", "expirationDateTime")
_OPTIONAL = ("clientState", "lifecycleNotificationUrl", "latestSupportedTlsVersion")


@dataclass(slots=True)
class GraphSubscription:
    """One subscription; `group_id` None is all groups. Subscriptions that are not `authorized` get no notifications."""

    app_id: str
    change_type: str
    resource: str
    group_id: str | None
    notification_url: str
    lifecycle_url: str | None
    client_state: str | None
    tls: str | None
    expires: float
    authorized: bool = True
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def wants(self, group_id: str, change_type: str) -> bool:
        """Whether it is notified of a change of this group."""
        return self.group_id in (None, group_id) and change_type in self.change_type.split(",")

    def as_json(self, *, with_state: bool) -> dict[str, Any]:
        """The subscription as Graph shows it; clientState is seen in the answer to its creation only."""
        return {
            "id": self.id,
            "resource": self.resource,
            "applicationId": self.app_id,
            "changeType": self.change_type,
            "clientState": self.client_state if with_state else None,
            "notificationUrl": self.notification_url,
            "notificationQueryOptions": None,
            "lifecycleNotificationUrl": self.lifecycle_url,
            "expirationDateTime": timestamp(self.expires),
            "creatorId": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"service-principal.{self.app_id}")),
            "includeResourceData": None,
            "latestSupportedTlsVersion": self.tls,
            "encryptionCertificate": None,
            "encryptionCertificateId": None,
            "notificationUrlAppId": None,
        }


class GraphSubscriptions:
    """The subscriptions of one tenant; one whose time has come is gone without a word."""

    def __init__(self) -> None:
        self._by_id: dict[str, GraphSubscription] = {}

    def alive(self, now: float) -> list[GraphSubscription]:
        """All that have not expired, in the order they were made."""
        for one in [one for one in self._by_id.values() if one.expires <= now]:
            del self._by_id[one.id]
        return list(self._by_id.values())

    def find(self, subscription_id: str, now: float) -> GraphSubscription | None:
        """The one with this id, of whichever application."""
        found = self._by_id.get(subscription_id.lower())
        return found if found is not None and found.expires > now else None

    def add(self, new: GraphSubscription, now: float, settings: Settings) -> None:
        """Add a subscription. Raises GraphError 403 over a quota, 409 for a duplicate."""
        alive = self.alive(now)
        own = [one for one in alive if one.app_id == new.app_id]
        for have, limit, whose in ((len(own), PER_APPLICATION, "application"), (len(alive), PER_TENANT, "tenant")):
            if have >= limit:
                text = f"The limit of {limit} subscriptions per {whose} has been reached."
                named = settings.subscription_rejection == "named"
                raise GraphError(403, "Forbidden", text) if named else subscription_denied(settings)
        twin = next((one for one in own if _key(one) == _key(new)), None)
        if twin is not None and not settings.duplicate_subscriptions:
            # The text is Microsoft's (graph/change-notifications-delivery-webhooks), the code is the one reported.
            text = f"Subscription Id {twin.id} already exists for the requested combination"
            raise GraphError(409, "ObjectIdentifierInUse", text)
        self._by_id[new.id] = new

    def remove(self, subscription: GraphSubscription) -> None:
        """End one."""
        self._by_id.pop(subscription.id, None)


def subscription_denied(settings: Settings) -> GraphError:
    """403 of the subscriptions service for a missing permission; the text of live tenants names no reason
    (learn.microsoft.com/answers/questions/946301)."""
    if settings.subscription_rejection == "named":
        return denied()
    text = "Operation: Create; Exception: [Status Code: Forbidden; Reason: ]"
    return GraphError(403, "ExtensionError", text)


def _key(one: GraphSubscription) -> tuple[str, frozenset[str]]:
    return one.resource.strip("/").lower(), frozenset(one.change_type.split(","))


def parse_subscription(body: Any, app_id: str, settings: Settings, now: float) -> GraphSubscription:
    """The subscription a body asks for. Raises GraphError 400 that names what is wrong."""
    if not isinstance(body, dict):
        raise invalid("A subscription must be given as a JSON object.")
    for name in _REQUIRED:
        if not isinstance(body.get(name), str) or not body[name]:
            raise invalid(f"Property '{name}' is required and must be a string.")
    for name in _OPTIONAL:
        if not isinstance(body.get(name), str | None):
            raise invalid(f"Property '{name}' must be a string.")
    unknown = [one for one in body if one not in (*_REQUIRED, *_OPTIONAL) and not one.startswith("@odata.")]
    if unknown:
        raise invalid(f"Property '{unknown[0]}' is not offered by the simulated tenant.")
    if len(body.get("clientState") or "") > _STATE_LIMIT:
        raise invalid(f"clientState has {len(body['clientState'])} characters, the most is {_STATE_LIMIT}.")
    found = _RESOURCE.match(body["resource"])
    if found is None:
        raise invalid(f"Resource '{body['resource']}' is not offered by the simulated tenant; groups are.")
    return GraphSubscription(
        app_id=app_id,
        change_type=_change_type(body["changeType"]),
        resource=body["resource"],
        group_id=found[1].lower() if found[1] else None,
        notification_url=checked_url("notificationUrl", body["notificationUrl"], settings),
        lifecycle_url=_lifecycle_url(body, settings),
        client_state=body.get("clientState"),
        tls=body.get("latestSupportedTlsVersion"),
        expires=parse_expiry(body["expirationDateTime"], settings, now),
    )


def parse_expiry(raw: Any, settings: Settings, now: float) -> float:
    """When a subscription is to end; at least 45 minutes from now, at most 41,760. Raises GraphError 400."""
    try:
        when = datetime.fromisoformat(raw)
    except (TypeError, ValueError) as error:
        raise invalid(f"expirationDateTime {raw!r} is not a date and time.") from error
    if when.tzinfo is None:
        raise invalid(f"expirationDateTime {raw!r} has no offset from UTC.")
    ends = when.astimezone(UTC).timestamp()
    if ends <= now:
        raise invalid("Subscription expiration must be in the future.")
    if ends > now + LONGEST_LIFE:
        if settings.subscription_too_long == "shortened":
            return now + LONGEST_LIFE
        # As commonly reported.
        raise invalid(f"Subscription expiration can only be {LONGEST_LIFE // 60} minutes in the future.")
    return max(ends, now + settings.subscription_minimum_seconds)


def checked_url(name: str, url: str, settings: Settings) -> str:
    """The URL if notifications can go there. Raises GraphError 400."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return url
    if settings.notification_http and parts.scheme == "http" and parts.hostname in _LOOPBACK:
        return url
    raise invalid(f"Property '{name}' must be an absolute https address.")


def invalid(message: str) -> GraphError:
    """400 of the subscriptions service."""
    return GraphError(400, "InvalidRequest", message)


def _lifecycle_url(body: dict[str, Any], settings: Settings) -> str | None:
    raw = body.get("lifecycleNotificationUrl")
    return None if raw is None else checked_url("lifecycleNotificationUrl", raw, settings)


def _change_type(raw: str) -> str:
    parts = [part.strip().lower() for part in raw.split(",")]
    if not set(parts) <= _CHANGES or set(parts) == {"created"}:
        raise invalid(f"changeType '{raw}' is not supported; groups offer updated and deleted.")
    return ",".join(dict.fromkeys(parts))
