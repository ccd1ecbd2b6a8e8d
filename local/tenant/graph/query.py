"""Query options of OData as far as the directory offers them: $select, $top, $filter, $search, $orderby, $count and
$skiptoken; $expand has a module of its own.

Other options are rejected, never ignored. No page of Microsoft prints the texts of these rejections: they are this
project's own wording, or commonly reported.
"""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Collection, Mapping
from functools import lru_cache
from urllib.parse import quote

from local.tenant.call import Call, Reply, bad_request, unsupported_query
from local.tenant.graph.filtering import OR_LIMIT, Reader, Test, parsed, too_many

PAGE_DEFAULT = 100  # learn.microsoft.com/graph/api/group-list-members
PAGE_MAX = 999

_ANY_ADDRESS = re.compile(r"^proxyAddresses/any\((\w+):\1\s+eq\s+'((?:[^']|'')*)'\)$", re.IGNORECASE)
_OFFERED = frozenset({"$select", "$top", "$filter", "$search", "$count", "$skiptoken", "$format"})


def selected(call: Call, known: Collection[str], type_name: str) -> tuple[str, ...] | None:
    """Properties of $select, None where there is none; 400 names a property the type does not have."""
    raw = call.query.get("$select")
    if not raw:
        return None
    names = _split(raw)
    for name in names:
        if name not in known:
            raise bad_request(f"Could not find a property named '{name}' on type 'microsoft.graph.{type_name}'.")
    return names


@lru_cache(maxsize=1024)
def _split(raw: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in raw.split(",") if name.strip()))


def page_size(call: Call) -> int:
    """Objects per page; 100 unless $top says other, at most 999."""
    raw = call.query.get("$top")
    if raw is None:
        return PAGE_DEFAULT
    if not raw.isascii() or not raw.isdigit() or not 1 <= int(raw) <= PAGE_MAX:
        # Own wording.
        raise unsupported_query(f"Invalid page size specified: '{raw}'. Must be between 1 and {PAGE_MAX} inclusive.")
    return int(raw)


def check_options(call: Call, *also: str) -> None:
    """Reject query options that are not offered; own wording. `also`: what this operation offers beside the usual."""
    for name in call.query:
        if name.startswith("$") and name.lower() not in _OFFERED and name.lower() not in also:
            raise bad_request(f"The query option '{name}' is not offered by the simulated tenant.", "BadRequest")


def ordered(call: Call, sortable: Collection[str]) -> tuple[str, bool] | None:
    """Property and direction (True: descending) of $orderby. With $filter or $search it is an advanced query
    (learn.microsoft.com/graph/aad-advanced-queries). 400 for a property by which the type cannot be sorted."""
    raw = call.query.get("$orderby")
    if raw is None:
        return None
    name, _, direction = raw.strip().partition(" ")
    found = next((each for each in sortable if each.lower() == name.lower()), None)
    if found is None or direction.strip().lower() not in ("", "asc", "desc"):
        raise unsupported_query(f"Sorting not supported for current query: '{raw}'.")  # own wording
    if "$filter" in call.query or "$search" in call.query:
        need_advanced(call, "$orderby with $filter or $search")
    return found, direction.strip().lower() == "desc"


def page_of(call: Call, ids: list[str], order: tuple[str, bool] | None) -> tuple[list[str], str | None]:
    """One page of ids in their order, and the link to the next. Sorted pages go on by place, others after an id."""
    size, token = page_size(call), skip_token(call)
    place = int(token) if token.isdigit() else 0
    start = bisect_right(ids, token) if order is None else place
    page = ids[start : start + size]
    if start + size >= len(ids):
        return page, None
    return page, next_link(call, page[-1] if order is None else str(start + size))


def count_reply(call: Call, number: int) -> Reply:
    """Answer of `/$count`: the number as text, for callers that accept eventual consistency."""
    if not call.eventual:
        raise unsupported_query("$count is not currently supported.")
    return Reply(200, str(number), {"Content-Type": "text/plain"})


def skip_token(call: Call) -> str:
    """Id after which the page begins; empty for the first page."""
    raw = call.query.get("$skiptoken", "")
    if not raw:
        return ""
    try:
        return base64.urlsafe_b64decode(raw.encode()).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise bad_request("Invalid skip token.", "Directory_ExpiredPageToken") from error  # own wording


def next_link(call: Call, last_id: str) -> str:
    """Absolute address of the next page: the same query with a token for the last id shown."""
    query = {name: value for name, value in call.query.items() if name != "$skiptoken"}
    query["$skiptoken"] = base64.urlsafe_b64encode(last_id.encode()).decode()
    return f"{call.base}{call.path}?{_encoded(query)}"


def _encoded(query: Mapping[str, str]) -> str:
    return "&".join(f"{quote(name, safe='$')}={quote(value, safe=',:()/')}" for name, value in query.items())


def wants_count(call: Call) -> bool:
    """Whether @odata.count goes into the answer; $count=true without ConsistencyLevel has no effect."""
    return call.query.get("$count", "").lower() == "true" and call.eventual


def need_advanced(call: Call, what: str) -> None:
    """400 without ConsistencyLevel: eventual and $count=true, or the segment /$count
    (learn.microsoft.com/graph/aad-advanced-queries)."""
    counts = call.query.get("$count", "").lower() == "true" or call.segments[-1:] == ("$count",)
    if not call.eventual or not counts:
        # Own wording; the code is reported for unsupported casts.
        raise unsupported_query(f"{what} needs the header 'ConsistencyLevel: eventual' and the parameter $count=true.")


def filter_test(call: Call, filterable: Collection[str]) -> Test | None:
    """The $filter as a test on a property reader; 400 if it is an advanced query and the call does not say so."""
    raw = call.query.get("$filter")
    if raw is None:
        return None
    found = parsed(raw, frozenset(filterable))
    if found.advanced:
        need_advanced(call, f"The filter '{raw}'")
    return found.test


def addresses_asked(call: Call) -> frozenset[str] | None:
    """The addresses of a $filter that asks for nothing but proxyAddresses joined with `or`; None for another one."""
    clauses = re.split(r"\s+or\s+", call.query.get("$filter", "").strip())
    found = [_ANY_ADDRESS.match(each) for each in clauses]
    if not all(found):
        return None
    if len(clauses) > OR_LIMIT:
        raise too_many(len(clauses))
    # Whether the kind of address is compared as written is not documented; here it is not.
    return frozenset(each[2].replace("''", "'").lower().removeprefix("smtp:") for each in found if each)


def has_address(read: Reader, wanted: Collection[str]) -> bool:
    """Whether an object has one of the addresses."""
    found = read("proxyAddresses")
    return isinstance(found, list) and any(str(each).lower().removeprefix("smtp:") in wanted for each in found)
