"""Accounts by the names HR knows them by, and writing memberships of groups, through Graph in batches of up to 20."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from shared.adapters import graph_json
from shared.adapters.directory import DEFINITE
from shared.adapters.graph import GraphClient, Json
from shared.adapters.graph_batch import BATCH_LIMIT, PATH, Item, ItemReply, answers, envelope, literal, segment
from shared.adapters.graph_write_results import BatchWriter, ItemResult
from shared.domain.directory import ReadFailed
from shared.domain.errors import NotFound, PermissionDenied, Unavailable
from shared.domain.ids import UserId
from shared.domain.onboarding import Account, PersonRef
from shared.domain.write_results import Rejected, WriteResult
from shared.ports.graph_writes import AlreadySo, MembershipChange

SELECT = "id,userPrincipalName,employeeId,accountEnabled,createdDateTime,usageLocation"
AT_MOST = 3
"""Accounts of one employeeId that are read: two are too many already."""

ALREADY_THERE = "already exist"
"""Part of Graph's 400 for adding an existing member. The text is commonly reported; no page of Microsoft prints it."""


class GraphAccounts:
    """Implements Accounts."""

    def __init__(self, graph: GraphClient) -> None:
        self._graph = graph

    async def find(self, refs: Sequence[PersonRef]) -> Mapping[PersonRef, tuple[Account, ...] | ReadFailed]:
        """Every account that any of the names fits. Raises Unavailable when Graph cannot be reached at all."""
        asked = [(ref, item) for ref in dict.fromkeys(refs) for item in _questions(ref)]
        found: dict[PersonRef, tuple[Account, ...] | ReadFailed] = dict.fromkeys(refs, ())
        for start in range(0, len(asked), BATCH_LIMIT):
            part = asked[start : start + BATCH_LIMIT]
            for (ref, _), reply in zip(part, await self._batch([item for _, item in part]), strict=True):
                known, more = found[ref], _accounts(reply)
                if isinstance(known, ReadFailed):
                    continue
                found[ref] = (
                    more
                    if isinstance(more, ReadFailed)
                    else tuple({each.id: each for each in (*known, *more)}.values())
                )
        return found

    async def _batch(self, items: Sequence[Item]) -> tuple[ItemReply | ReadFailed | None, ...]:
        try:
            return answers(await self._graph.read(PATH, envelope(items)), len(items))
        except PermissionDenied as rejection:
            return (ReadFailed(str(rejection), rejected=True),) * len(items)
        except NotFound as fault:  # of the batch as a whole; it says nothing about the accounts
            raise Unavailable(None, str(fault)) from fault


def _questions(ref: PersonRef) -> list[Item]:
    items = []
    if ref.id:
        items.append(Item("GET", f"/users/{segment(ref.id)}?$select={SELECT}"))
    if ref.employee_id:
        wanted = f"employeeId%20eq%20{literal(ref.employee_id)}"
        items.append(Item("GET", f"/users?$select={SELECT}&$top={AT_MOST}&$filter={wanted}"))
    if ref.user_principal_name:
        items.append(Item("GET", f"/users/{segment(ref.user_principal_name)}?$select={SELECT}"))
    return items


def _accounts(reply: ItemReply | ReadFailed | None) -> tuple[Account, ...] | ReadFailed:
    match reply:
        case None:
            return ReadFailed("the answer is missing from the batch")
        case ReadFailed():
            return reply
        case ItemReply(status=404):
            return ()
        case ItemReply(ok=False):
            return ReadFailed(str(reply), reply.retry_after_s, rejected=reply.status in DEFINITE)
    body = reply.body if isinstance(reply.body, dict) else {}
    try:
        rows = graph_json.values(body, "users") if "value" in body else [body]
        return tuple(map(_account, rows))
    except graph_json.Incomplete as fault:
        return ReadFailed(str(fault), rejected=True)


def _account(row: Json) -> Account:
    """learn.microsoft.com/graph/api/resources/user; only id, name and `accountEnabled` are never null."""
    for name in ("id", "userPrincipalName", "accountEnabled"):
        if not isinstance(row, dict) or row.get(name) is None:
            raise graph_json.Incomplete("user", name)
    created = row.get("createdDateTime")
    return Account(
        id=UserId(str(row["id"]).lower()),
        user_principal_name=str(row["userPrincipalName"]),
        employee_id=str(row.get("employeeId") or ""),
        account_enabled=row["accountEnabled"] is True,
        created_at=datetime.fromisoformat(created) if isinstance(created, str) else None,
        usage_location=row.get("usageLocation"),
    )


class GraphMemberships:
    """Implements Memberships: learn.microsoft.com/graph/api/group-post-members and .../group-delete-members."""

    def __init__(self, graph: GraphClient, base_url: str) -> None:
        self._writer = BatchWriter(graph)
        self._base = base_url

    async def change(self, changes: Sequence[MembershipChange]) -> Sequence[WriteResult | AlreadySo]:
        """One result per change, in order. Raises ValueError for more than 20."""
        if not changes:
            return ()
        results = await self._writer.write([self._item(change) for change in changes], priority="High")
        return [_result(change, each) for change, each in zip(changes, results, strict=True)]

    def _item(self, change: MembershipChange) -> Item:
        members = f"/groups/{segment(change.group_id)}/members"
        if not change.add:
            return Item("DELETE", f"{members}/{segment(change.user_id)}/$ref")
        body = {"@odata.id": f"{self._base}/directoryObjects/{segment(change.user_id)}"}
        return Item("POST", f"{members}/$ref", body)


def _result(change: MembershipChange, answered: ItemResult) -> WriteResult | AlreadySo:
    """A second attempt that finds the membership written is not AlreadySo: the first one may have written it."""
    match answered:
        case ItemResult(Rejected(status=400, message=message), own=True) if change.add and ALREADY_THERE in message:
            return AlreadySo()
        case ItemResult(Rejected(status=404), own=True) if not change.add:
            return AlreadySo()
    return answered.result
