"""$search on directory objects (learn.microsoft.com/graph/search-query-parameter, "Use $search on directory object
collections"; learn.microsoft.com/graph/aad-advanced-queries).

Clauses `"property:text"`, joined by AND, OR and parentheses. Names and descriptions are split into words; any other
property begins with the text. Words match from their beginning: the page finds "Guthrie" by `displayName:Guthr`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

from local.tenant.call import Call, bad_request, unsupported_query
from local.tenant.graph.filtering import Test

TOKENIZED = frozenset({"displayName", "description"})

_PART = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|(AND|OR)(?=[\s("])|([()]))', re.DOTALL)
_CLAUSE = re.compile(r"^(\w+):(.*)$", re.DOTALL)
_WORD = re.compile(r"\d+|[^\W\d_]+|[^\w\s]|_")


def search_test(call: Call, searchable: Collection[str], offered: bool) -> Test | None:
    """The $search as a test on a property reader; 400 without ConsistencyLevel, for what is not the syntax, and
    if the tenant does not offer it."""
    raw = call.query.get("$search")
    if raw is None:
        return None
    if not offered:
        raise unsupported_query("The query option $search is not available in this tenant.")  # own wording
    if not call.eventual:
        raise unsupported_query(
            "Request with $search query parameter only works through MSGraph with a special request header: "
            "'ConsistencyLevel: eventual'"
        )
    return _Parser(raw, searchable).whole()


@lru_cache(maxsize=200_000)
def words_of(text: str) -> frozenset[str]:
    """The words of a text: split at spaces, numbers, symbols, and where lower case turns to upper case. Words that only
    symbols separate also count as one word."""
    found: set[str] = set()
    for part in text.split():
        pieces = [piece for run in _WORD.findall(part) for piece in _at_upper_case(run)]
        found.update(piece.lower() for piece in pieces)
        runs = re.findall(r"\w+", part)
        if len(runs) > 1:
            found.add("".join(runs).lower())
    return frozenset(found)


def _at_upper_case(run: str) -> list[str]:
    pieces, start = [], 0
    for at in range(1, len(run)):
        if run[at - 1].islower() and run[at].isupper():
            pieces.append(run[start:at])
            start = at
    return [*pieces, run[start:]]


class _Parser:
    """OR of ANDs of clauses, as the page's examples group them; which of the two binds tighter it does not say."""

    def __init__(self, raw: str, searchable: Collection[str]) -> None:
        self._searchable = searchable
        self._parts: list[tuple[str, str]] = []
        at = 0
        while raw[at:].strip():
            found = _PART.match(raw, at)
            if found is None:
                raise self._fault()
            clause, word, bracket = found.groups()
            self._parts.append(
                ("clause", re.sub(r"\\(.)", r"\1", clause)) if clause is not None else ("", word or bracket)
            )
            at = found.end()
        self._at = 0

    def whole(self) -> Test:
        test = self._either()
        if self._at < len(self._parts):
            raise self._fault()
        return test

    def _either(self) -> Test:
        tests = [self._both()]
        while self._take("OR"):
            tests.append(self._both())
        return lambda read: any(test(read) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._take("AND"):
            tests.append(self._one())
        return lambda read: all(test(read) for test in tests)

    def _one(self) -> Test:
        if self._take("("):
            test = self._either()
            if not self._take(")"):
                raise self._fault()
            return test
        if self._at == len(self._parts) or self._parts[self._at][0] != "clause":
            raise self._fault()
        self._at += 1
        return self._clause(self._parts[self._at - 1][1])

    def _clause(self, text: str) -> Test:
        found = _CLAUSE.match(text)
        if found is None or found[1] not in self._searchable:
            raise self._fault()
        name, wanted = found[1], found[2]
        if name not in TOKENIZED:
            return lambda read: str(read(name) or "").lower().startswith(wanted.lower())
        asked = _asked(wanted)
        if not asked:
            raise self._fault()
        return lambda read: _match(asked, words_of(str(read(name) or "")))

    def _take(self, word: str) -> bool:
        if self._at < len(self._parts) and self._parts[self._at] == ("", word):
            self._at += 1
            return True
        return False

    @staticmethod
    def _fault() -> Exception:
        return bad_request('Syntax error in $search; expected "property:text".')  # own wording


def _asked(text: str) -> tuple[tuple[frozenset[str], str], ...]:
    """For each part of a search between spaces: its words, and the same without symbols as one word."""
    parts = []
    for part in text.split():
        whole = "".join(re.findall(r"\w+", part)).lower()
        pieces = frozenset(piece.lower() for run in _WORD.findall(part) for piece in _at_upper_case(run))
        parts.append((pieces, whole))
    return tuple(parts)


def _match(asked: tuple[tuple[frozenset[str], str], ...], have: frozenset[str]) -> bool:
    def begins(wanted: str) -> bool:
        return any(word.startswith(wanted) for word in have)

    return all(all(map(begins, pieces)) or bool(whole and begins(whole)) for pieces, whole in asked)
