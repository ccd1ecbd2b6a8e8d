"""Bodies of change notifications, lifecycle notifications and forged ones.

learn.microsoft.com/graph/change-notifications-delivery-webhooks and .../change-notifications-lifecycle-events; the
members a group's notification carries are as captured in practice.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from typing import Any

from local.tenant.call import timestamp
from local.tenant.directory.changes import Change, Kind
from local.tenant.notifications.subscriptions import GraphSubscription
from local.tenant.settings import Settings

LIFECYCLE_EVENTS = ("reauthorizationRequired", "subscriptionRemoved", "missed")


def change_notifications(
    subscription: GraphSubscription, changes: list[Change], tenant_id: str, settings: Settings
) -> list[dict[str, Any]]:
    """Notifications of these changes for one subscription, groups in the order of their first change.

    Added and removed members are in the order of the changes, so a member can appear twice. Creation and soft deletion
    are sent as `updated`, only permanent deletion as `deleted` (resources/subscription, changeType).
    """
    by_group: dict[str, list[Change]] = {}
    for change in changes:
        by_group.setdefault(change.group_id, []).append(change)
    return [
        one
        for group_id, of_group in by_group.items()
        for one in _of_group(subscription, group_id, of_group, tenant_id, settings)
    ]


def lifecycle_notification(subscription: GraphSubscription, event: str, tenant_id: str) -> dict[str, Any]:
    """One lifecycle notification."""
    return {
        "subscriptionId": subscription.id,
        "subscriptionExpirationDateTime": timestamp(subscription.expires),
        "tenantId": tenant_id,
        "clientState": subscription.client_state,
        "lifecycleEvent": event,
    }


def forged(notification: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """A forgery by a sender who lacks only the clientState: all named members are removed, and an unknown one."""
    data = notification["resourceData"]
    named = [one["id"] for one in data.get("members@delta", ())] + [str(uuid.UUID(int=chance.getrandbits(128)))]
    leaving = [{"id": one, "@removed": "deleted"} for one in named]
    return {
        **notification,
        "clientState": f"guess-{chance.getrandbits(64):016x}",
        "resourceData": {**data, "members@delta": leaving},
    }


def _of_group(
    subscription: GraphSubscription, group_id: str, changes: list[Change], tenant_id: str, settings: Settings
) -> Iterator[dict[str, Any]]:
    members = [_member(change, settings.removed_shape) for change in changes if change.kind.of_member]
    size = settings.notification_members
    if subscription.wants(group_id, "updated"):
        for start in range(0, len(members), size):
            yield _body(subscription, group_id, "updated", tenant_id, members[start : start + size])
        if not members and any(change.kind is not Kind.PURGED for change in changes):
            yield _body(subscription, group_id, "updated", tenant_id, None)
    if subscription.wants(group_id, "deleted") and any(change.kind is Kind.PURGED for change in changes):
        yield _body(subscription, group_id, "deleted", tenant_id, None)


def _body(
    subscription: GraphSubscription, group_id: str, change_type: str, tenant_id: str, members: list[Any] | None
) -> dict[str, Any]:
    data: dict[str, Any] = {
        "@odata.type": "#Microsoft.Graph.Group",
        "@odata.id": f"Groups/{group_id}",
        "id": group_id,
        "organizationId": tenant_id,
    }
    if members is not None:
        data["members@delta"] = members
    return {
        "changeType": change_type,
        "clientState": subscription.client_state,
        "resource": f"Groups/{group_id}",
        "resourceData": data,
        "subscriptionExpirationDateTime": timestamp(subscription.expires)[:-1] + "+00:00",
        "subscriptionId": subscription.id,
        "tenantId": tenant_id,
    }


def _member(change: Change, removed_shape: str) -> dict[str, Any]:
    if change.kind is Kind.JOINED:
        return {"id": change.member_id}
    is_text = removed_shape == "text" or (removed_shape == "both" and change.seq % 2 == 0)
    removed: Any = "deleted" if is_text else {"reason": "deleted"}
    return {"id": change.member_id, "@removed": removed}
