"""GET /users/delta: which users changed since a token (learn.microsoft.com/graph/api/user-delta).

A user who changed comes with the selected properties, one in the recycle bin with `@removed` and the reason `changed`.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any
from urllib.parse import quote

import orjson

from local.tenant import clock
from local.tenant.call import GRAPH, Call, GraphError, Reply, bad_request, denied, unsupported_query
from local.tenant.directory.model import User
from local.tenant.graph.delta import EXPIRED_TEXTS
from local.tenant.graph.directory_view import view_of
from local.tenant.graph.query import selected
from local.tenant.graph.render import USER_DEFAULT, USER_PROPERTIES, user_json
from local.tenant.identity.permissions import SEE_USERS
from local.tenant.tenant import Tenant

FILTER_LIMIT = 50
_OFFERED = frozenset({"$select", "$filter", "$deltatoken", "$skiptoken"})
_ONE_ID = re.compile(r"^id\s+eq\s+'([^']+)'$", re.IGNORECASE)


def users_delta(tenant: Tenant, call: Call) -> Reply:
    """A page of a round, with the link to the next page, or to the next round."""
    asked = _asked(tenant, call)
    chosen, history = asked["select"], tenant.directory.history
    if chosen and not call.permissions & SEE_USERS:
        raise denied()
    ids = [one for one in tenant.directory.sorted_user_ids() if asked["ids"] is None or one in asked["ids"]]
    if asked["since"] is not None:
        ids = [one for one in ids if asked["since"] < history.touched.get(one, 0) <= asked["until"]]
    size = tenant.settings.delta_page_size
    page = ids[asked["place"] : asked["place"] + size]
    columns = f"({','.join(chosen)})" if chosen else ""
    body: dict[str, Any] = {"@odata.context": f"{GRAPH}/$metadata#users{columns}"}
    if asked["place"] + size < len(ids):
        body["@odata.nextLink"] = _link(call, "$skiptoken", {**asked, "place": asked["place"] + size})
    else:
        following = {**asked, "place": 0, "since": asked["until"], "until": None, "issued": clock.time()}
        body["@odata.deltaLink"] = _link(call, "$deltatoken", following)
    rows = (_row(tenant, tenant.directory.users[one], chosen, first=asked["since"] is None) for one in page)
    body["value"] = [row for row in rows if row is not None]
    return Reply(200, body)


def _row(tenant: Tenant, user: User, chosen: list[str] | None, *, first: bool) -> dict[str, Any] | None:
    if user.deleted is not None:
        return None if first else {"id": user.id, "@removed": {"reason": "changed"}}
    return {"id": user.id, **user_json(user, user.state(), tuple(chosen or USER_DEFAULT), view_of(tenant))}


def _asked(tenant: Tenant, call: Call) -> dict[str, Any]:
    for name in call.query:
        if name.startswith("$") and name.lower() not in _OFFERED:
            raise unsupported_query(f"The query option '{name}' is not supported by delta queries.")
    last = tenant.directory.history.last_touch
    token = call.query.get("$skiptoken") or call.query.get("$deltatoken") or ""
    if token in ("", "latest"):
        chosen = selected(call, USER_PROPERTIES, "user")
        since = last if token else None
        ids = _filtered(call)
        epoch = tenant.directory.changes.epoch
        begun = {"epoch": epoch, "issued": clock.time(), "since": since, "until": last, "place": 0, "ids": ids}
        return {**begun, "select": list(chosen) if chosen else None}
    asked = _decoded(token)
    oldest = max(tenant.delta_valid_from, clock.time() - tenant.settings.delta_token_seconds)
    if asked["epoch"] != tenant.directory.changes.epoch or asked["issued"] <= oldest:
        status, _, code = tenant.settings.delta_expired.partition(" ")
        raise GraphError(int(status), code, EXPIRED_TEXTS.get(code, "The sync state is not known any more."))
    return asked if asked["until"] is not None else {**asked, "until": last}


def _filtered(call: Call) -> list[str] | None:
    raw = call.query.get("$filter")
    if raw is None:
        return None
    found = [_ONE_ID.match(part.strip()) for part in re.split(r"\s+or\s+", raw.strip(), flags=re.IGNORECASE)]
    if None in found:
        raise unsupported_query("Delta queries of users can be filtered by id only: id eq '...' or id eq '...'.")
    if len(found) > FILTER_LIMIT:
        raise bad_request(f"A delta query can be filtered by {FILTER_LIMIT} ids at most, not by {len(found)}.")
    return [one[1].lower() for one in found if one is not None]


def _decoded(token: str) -> dict[str, Any]:
    try:
        found = orjson.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, UnicodeError, orjson.JSONDecodeError) as fault:
        raise bad_request("Badly formed token.") from fault
    if not isinstance(found, dict) or "epoch" not in found:
        raise bad_request("Badly formed token.")
    return found


def _link(call: Call, name: str, asked: dict[str, Any]) -> str:
    return f"{call.base}{call.path}?{name}={quote(base64.urlsafe_b64encode(orjson.dumps(asked)).decode())}"
