"""Hearing of changed groups from Graph: subscriptions (learn.microsoft.com/graph/api/resources/subscription) and delta
(learn.microsoft.com/graph/api/group-delta). What comes back incomplete is a failed read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from shared.adapters.graph import GraphClient, Json, Rejection, Reply, describe, error_of
from shared.adapters.graph_batch import segment
from shared.adapters.graph_json import Incomplete, values
from shared.adapters.graph_resets import Repeat
from shared.domain.errors import BadRequest, NotFound, PermissionDenied, TokenExpired, Unavailable
from shared.domain.ids import GroupId
from shared.domain.membership_changes import GroupChange, guid, members_of
from shared.ports.change_feed import DeltaPage, GraphSubscription

RESOURCE = "/groups"
MAX_DELTA_GROUPS = 50
"""Most ids a filter of group delta may name (learn.microsoft.com/graph/api/group-delta)."""

MAX_PAGES_OF_SUBSCRIPTIONS = 50


class GraphChangeFeed:
    """Implements ChangeFeed."""

    def __init__(self, graph: GraphClient) -> None:
        self._graph = graph

    async def subscriptions(self) -> tuple[GraphSubscription, ...]:
        found: list[GraphSubscription] = []
        path = "/subscriptions"
        for _ in range(MAX_PAGES_OF_SUBSCRIPTIONS):
            body = (await self._graph.read(path)).json()
            found += [_subscription(row) for row in values(body, "subscriptions")]
            link = body.get("@odata.nextLink")
            if not isinstance(link, str):
                return tuple(found)
            path = self._graph.path_of(link)
        raise Unavailable(None, "the pages of subscriptions do not come to an end")

    async def subscribe(
        self, notification_url: str, lifecycle_url: str, client_state: str, expires_at: datetime
    ) -> GraphSubscription:
        # Never sent twice: a second subscription would report every change once more.
        body = {
            "changeType": "updated,deleted",
            "notificationUrl": notification_url,
            "lifecycleNotificationUrl": lifecycle_url,
            "resource": RESOURCE,
            "expirationDateTime": _text(expires_at),
            "clientState": client_state,
        }
        return _subscription(_done(await self._graph.send("/subscriptions", body), "/subscriptions").json())

    async def renew(self, subscription_id: str, expires_at: datetime) -> None:
        path = f"/subscriptions/{segment(subscription_id)}"
        body = {"expirationDateTime": _text(expires_at)}
        _done(await self._graph.send(path, body, method="PATCH", repeat=Repeat.ALWAYS), path)

    async def reauthorize(self, subscription_id: str) -> None:
        path = f"/subscriptions/{segment(subscription_id)}/reauthorize"
        _done(await self._graph.send(path, method="POST", repeat=Repeat.ALWAYS), path)

    async def unsubscribe(self, subscription_id: str) -> None:
        path = f"/subscriptions/{segment(subscription_id)}"
        reply = await self._graph.send(path, method="DELETE", repeat=Repeat.ALWAYS)
        if reply.status != 404:
            _done(reply, path)

    def enumeration(self, group_ids: Sequence[GroupId]) -> str:
        # Not `$deltatoken=latest`: with `$expand=members` such a link never reported members; `$select` is not known.
        if not 0 < len(group_ids) <= MAX_DELTA_GROUPS:
            raise ValueError(f"{len(group_ids)} groups in one delta: must be 1 to {MAX_DELTA_GROUPS}")
        wanted = quote(" or ".join(f"id eq '{guid(group_id)}'" for group_id in group_ids))
        return f"/groups/delta?$select=members&$filter={wanted}"

    async def delta(self, link: str) -> DeltaPage:
        try:
            body = (await self._graph.read(link)).json()
        except (Rejection, NotFound) as rejection:
            # 410 is documented; 404 and 400 with several codes have been seen. After any definite rejection of a link,
            # everything must be read again (learn.microsoft.com/graph/delta-query-overview#synchronization-reset).
            raise TokenExpired(str(rejection)) from rejection
        changes = tuple(_changes(values(body, "groups/delta")))
        following, last = self._link(body, "@odata.nextLink"), self._link(body, "@odata.deltaLink")
        if following is None and last is None:
            raise Unavailable(None, "a page of group delta has neither a next link nor a delta link")
        return DeltaPage(changes, following, last)

    def _link(self, body: Json, name: str) -> str | None:
        link = body.get(name)
        return self._graph.path_of(link) if isinstance(link, str) else None


def _changes(rows: Iterable[Any]) -> Iterable[GroupChange]:
    for row in rows:
        try:
            group_id = GroupId(guid(row["id"]))
            yield GroupChange(group_id, members_of(row.get("members@delta", ())), "@removed" in row)
        except (KeyError, TypeError, ValueError, AttributeError) as fault:
            raise Incomplete("group", "members@delta", str(fault)) from fault


def _subscription(row: Any) -> GraphSubscription:
    try:
        until = datetime.fromisoformat(str(row["expirationDateTime"]))
        url = str(row.get("notificationUrl") or "")
        return GraphSubscription(str(row["id"]), url, until.replace(tzinfo=until.tzinfo or UTC))
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise Incomplete("subscription", "expirationDateTime", str(fault)) from fault


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _done(reply: Reply, path: str) -> Reply:
    """The answer of a write. Raises what its status means."""
    if reply.ok:
        return reply
    what = describe(reply, path)
    match reply.status:
        case 404:
            raise NotFound(what)
        case 401 | 403:
            raise PermissionDenied(what)
        case 400 | 409:
            raise BadRequest(error_of(_json(reply))[0] or "Refused", what)
    raise Unavailable(reply.retry_after_s, what)


def _json(reply: Reply) -> Json:
    try:
        return reply.json()
    except Unavailable:
        return {}
