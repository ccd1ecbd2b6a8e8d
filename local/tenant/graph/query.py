"""Query options of OData as far as the directory offers them: $select, $top, $filter, $search, $count, $skiptoken.

Other options are rejected, never ignored. No page of Microsoft prints the texts of these rejections: they are this
project's own wording, or commonly reported.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from urllib.parse import quote

from local.tenant.call import Call, Reply, bad_request, unsupported_query
from local.tenant.graph.search import Reader, Test

PAGE_DEFAULT = 100  # learn.microsoft.com/graph/api/group-list-members
PAGE_MAX = 999

_COMPARISON = re.compile(r"^(\w+)\s+(eq|ne)\s+(?:'((?:[^']|'')*)'|(true|false))$", re.IGNORECASE)
_TEXT = r"'(?:[^']|'')*'"
_IN = re.compile(rf"^(\w+)\s+in\s*\(\s*({_TEXT}(?:\s*,\s*{_TEXT})*)\s*\)$", re.IGNORECASE)
_ANY_ADDRESS = re.compile(r"^proxyAddresses/any\((\w+):\1\s+eq\s+'((?:[^']|'')*)'\)$", re.IGNORECASE)
OR_LIMIT = 15  # clauses, github.com/microsoftgraph/microsoft-graph-docs/issues/21098
_STARTSWITH = re.compile(r"^startswith\(\s*(\w+)\s*,\s*'((?:[^']|'')*)'\s*\)$", re.IGNORECASE)
_OUTSIDE_QUOTES = r"(?=(?:[^']*'[^']*')*[^']*$)"
_OR = re.compile(r"\s+or\s+" + _OUTSIDE_QUOTES, re.IGNORECASE)
_AND = re.compile(r"\s+and\s+" + _OUTSIDE_QUOTES, re.IGNORECASE)
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


def check_options(call: Call) -> None:
    """Refuse query options that are not offered, $expand and $orderby among them; own wording."""
    for name in call.query:
        if name.startswith("$") and name.lower() not in _OFFERED:
            raise bad_request(f"The query option '{name}' is not offered by the simulated tenant.", "BadRequest")


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
    """400 without ConsistencyLevel: eventual and $count=true (learn.microsoft.com/graph/aad-advanced-queries)."""
    if not call.eventual or call.query.get("$count", "").lower() != "true":
        # Own wording; the code is reported for unsupported casts.
        raise unsupported_query(f"{what} needs the header 'ConsistencyLevel: eventual' and the parameter $count=true.")


def count_reply(call: Call, count: int) -> Reply:
    """The answer to `/$count`: text, and only with ConsistencyLevel: eventual (graph/aad-advanced-queries)."""
    if not call.eventual:
        raise unsupported_query("$count is not currently supported.")
    return Reply(200, str(count), {"Content-Type": "text/plain"})


def filter_test(call: Call, filterable: Collection[str]) -> Test | None:
    """The $filter as a test on a property reader: `eq`, `ne`, `in` and `startswith`, joined with `or` and the stronger
    `and`. `ne` is an advanced query, and `in` takes 15 values (learn.microsoft.com/graph/aad-advanced-queries)."""
    raw = call.query.get("$filter")
    if raw is None:
        return None
    tests = [[_clause(call, each.strip(), filterable) for each in _AND.split(part)] for part in _OR.split(raw)]
    return lambda read: any(all(test(read) for test in part) for part in tests)


def addresses_asked(call: Call) -> frozenset[str] | None:
    """The addresses of a $filter that asks for nothing but proxyAddresses joined with `or`; None for another one."""
    clauses = re.split(r"\s+or\s+", call.query.get("$filter", "").strip())
    found = [_ANY_ADDRESS.match(each) for each in clauses]
    if not all(found):
        return None
    if len(clauses) > OR_LIMIT:
        raise unsupported_query(
            "Too many child clauses specified in search filter expression containing 'OR' operators: "
            f"{len(clauses)}. Max allowed: {OR_LIMIT}."
        )
    # Whether the kind of address is compared as written is not documented; here it is not.
    return frozenset(each[2].replace("''", "'").lower().removeprefix("smtp:") for each in found if each)


def has_address(read: Reader, wanted: Collection[str]) -> bool:
    """Whether an object has one of the addresses."""
    found = read("proxyAddresses")
    return isinstance(found, list) and any(str(each).lower().removeprefix("smtp:") in wanted for each in found)


def _clause(call: Call, raw: str, filterable: Collection[str]) -> Test:
    if found := _COMPARISON.match(raw):
        name, operator, text, flag = found.groups()
        if name in filterable:
            wanted: object = flag.lower() == "true" if flag else text.replace("''", "'").lower()
            is_equal = operator.lower() == "eq"
            if not is_equal:
                need_advanced(call, "A filter with 'ne'")
            return lambda read: (_folded(read(name)) == wanted) is is_equal
    if found := _IN.match(raw):
        name = found[1]
        texts = {each[1:-1].replace("''", "'").lower() for each in re.findall(_TEXT, found[2])}
        if name in filterable and len(texts) <= OR_LIMIT:
            return lambda read: _folded(read(name)) in texts
    if found := _STARTSWITH.match(raw):
        name, text = found.groups()
        if name in filterable:
            head = text.replace("''", "'").lower()
            return lambda read: str(read(name) or "").lower().startswith(head)
    raise unsupported_query("Unsupported or invalid query filter clause specified for the request.")


def _folded(value: object) -> object:
    return value.lower() if isinstance(value, str) else value
