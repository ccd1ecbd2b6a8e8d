"""GET /groups/delta: which groups and members changed since a token.

learn.microsoft.com/graph/api/group-delta; texts of rejections are our own wording.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from local.tenant import clock
from local.tenant.call import GRAPH, Call, GraphError, Reply, bad_request, unsupported_query
from local.tenant.directory.changes import Presence
from local.tenant.directory.delta import DeltaRound, Piece, decode, encode, page_end, pieces
from local.tenant.graph.query import selected
from local.tenant.graph.render import GROUP_DEFAULT, GROUP_PROPERTIES, group_json
from local.tenant.identity.permissions import HIDDEN_MEMBERS
from local.tenant.tenant import Tenant

FILTER_LIMIT = 50  # ids of one $filter, learn.microsoft.com/graph/api/group-delta
_OFFERED = frozenset({"$select", "$filter", "$deltatoken", "$skiptoken"})
_ONE_ID = re.compile(r"^id\s+eq\s+'([^']+)'$", re.IGNORECASE)

EXPIRED_TEXTS = {
    "Request_UnsupportedQuery": "DeltaLink older than 30 days is not supported.",
    "Request_BadRequest": "Badly formed token.",
    "UnknownError": "",
}
"""Texts with which live tenants were seen to reject an old delta link, by code."""


def groups_delta(tenant: Tenant, call: Call) -> Reply:
    """A page of a round, with the link to the next page, or to the next round."""
    asked = _begun(tenant, _asked(tenant, call), call)
    settings = tenant.settings
    with_members = asked.select is None or "members" in asked.select
    replays = (settings.delta_replay_share, settings.delta_replay_times)
    given = pieces(tenant.directory, asked, with_members, settings.delta_piece_size, replays)
    start = max(asked.place, 0)
    end = 0 if asked.place < 0 else page_end(given, start, settings.delta_page_size)
    now = clock.time()
    columns = f"({','.join(asked.select)})" if asked.select else ""
    body: dict[str, Any] = {"@odata.context": f"{GRAPH}/$metadata#groups{columns}"}
    if asked.place < 0 or end < len(given):
        body["@odata.nextLink"] = _link(call, "$skiptoken", replace(asked, place=end))
    else:
        body["@odata.deltaLink"] = _link(call, "$deltatoken", asked.following(now))
    minimal = "return=minimal" in call.headers.get("prefer", "").lower() and asked.since is not None
    body["value"] = [_row(tenant, call, asked, piece, minimal) for piece in given[start:end]]
    return Reply(200, body)


def _asked(tenant: Tenant, call: Call) -> DeltaRound:
    """The round a call is about; a new one where it brings no token."""
    for name in call.query:
        if name.startswith("$") and name.lower() not in _OFFERED:
            raise unsupported_query(f"The query option '{name}' is not supported by delta queries.")
    token = call.query.get("$skiptoken") or call.query.get("$deltatoken") or ""
    if token in ("", "latest"):
        changes = tenant.directory.changes
        since = None if token == "" else changes.position(call.as_of, _horizon(tenant))
        select, groups = _selected(call), _filtered(call)
        if token == "latest" and groups is not None and not tenant.settings.delta_latest_filter:
            raise unsupported_query("The query option '$filter' is not supported with '$deltatoken=latest'.")
        if token == "latest" and not tenant.settings.delta_latest_members:
            select = tuple(one for one in select or ("id",) if one != "members") or ("id",)
        return DeltaRound(changes.epoch, clock.time(), since, None, 0, select, groups)
    if "$select" in call.query or "$filter" in call.query:
        raise bad_request("A request with a token takes no other query options; they are part of the token.")
    asked = decode(token)
    if asked is None:
        raise bad_request("Badly formed token.")
    _check_age(tenant, asked, call)
    return asked


def _begun(tenant: Tenant, asked: DeltaRound, call: Call) -> DeltaRound:
    """The round with its end fixed; it never ends before it began, however far reads lag."""
    if asked.until is not None:
        return asked
    until = max(tenant.directory.changes.position(call.as_of, _horizon(tenant)), asked.since or 0)
    return replace(asked, until=until, place=-1 if tenant.settings.delta_empty_page else 0)


def _horizon(tenant: Tenant) -> float:
    return clock.time() - tenant.settings.delta_lag_seconds


def _check_age(tenant: Tenant, asked: DeltaRound, call: Call) -> None:
    changes = tenant.directory.changes
    positions = [one for one in (asked.since, asked.until) if one is not None]
    fresh = (
        asked.epoch == changes.epoch
        and asked.issued > max(tenant.delta_valid_from, clock.time() - tenant.settings.delta_token_seconds)
        and all(one >= changes.oldest for one in positions)
    )
    if fresh:
        return
    status, _, code = tenant.settings.delta_expired.partition(" ")
    headers = {}
    if status == "410":
        headers["Location"] = f"{call.base}{call.path}?{_restart(asked)}"
    text = EXPIRED_TEXTS.get(code, "The sync state is not known any more. Start again with a full sync.")
    raise GraphError(int(status), code, text, headers)


def _restart(asked: DeltaRound) -> str:
    """Query of the first request of this round, with an empty token."""
    parts = ["$deltatoken="]
    if asked.select:
        parts.append(f"$select={','.join(asked.select)}")
    if asked.groups:
        parts.append("$filter=" + quote(" or ".join(f"id eq '{one}'" for one in asked.groups)))
    return "&".join(parts)


def _selected(call: Call) -> tuple[str, ...] | None:
    return selected(call, {*GROUP_PROPERTIES, "members"}, "group")


def _filtered(call: Call) -> tuple[str, ...] | None:
    raw = call.query.get("$filter")
    if raw is None:
        return None
    found = [_ONE_ID.match(part.strip()) for part in re.split(r"\s+or\s+", raw.strip(), flags=re.IGNORECASE)]
    ids = tuple(dict.fromkeys(one[1].lower() for one in found if one is not None))
    if None in found:
        raise unsupported_query("Delta queries of groups can be filtered by id only: id eq '...' or id eq '...'.")
    if len(found) > FILTER_LIMIT:
        raise bad_request(f"A delta query can be filtered by {FILTER_LIMIT} ids at most, not by {len(found)}.")
    return ids


def _link(call: Call, name: str, asked: DeltaRound) -> str:
    return f"{call.base}{call.path}?{name}={quote(encode(asked))}"


def _row(tenant: Tenant, call: Call, asked: DeltaRound, piece: Piece, minimal: bool) -> dict[str, Any]:
    group = piece.group
    if piece.reason is not Presence.THERE:
        return {"id": group.id, "@removed": {"reason": piece.reason.value}}
    row: dict[str, Any] = {"id": group.id}
    if piece.whole and not (minimal and not piece.properties_changed):
        names = GROUP_DEFAULT if asked.select is None else tuple(one for one in asked.select if one != "members")
        row |= group_json(group, names)
    # Without Member.Read.Hidden the members of such a group are not seen here either, whatever other reads answer.
    if piece.members and (group.visibility != "HiddenMembership" or HIDDEN_MEMBERS in call.permissions):
        objects = tenant.directory.objects
        row["members@delta"] = [_member(objects[one].odata_type, one, there) for one, there in piece.members]
    return row


def _member(odata_type: str, object_id: str, there: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"@odata.type": odata_type, "id": object_id}
    return row if there else {**row, "@removed": {"reason": "deleted"}}
