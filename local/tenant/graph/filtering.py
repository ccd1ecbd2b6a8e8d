"""$filter of OData as far as directory objects support it: comparisons joined with and, or, not and parentheses.

learn.microsoft.com/graph/filter-query-parameter and /graph/aad-advanced-queries: `ne`, `not`, `endsWith` and `$count`
of a collection are advanced; `eq`, `in`, `startsWith`, `ge`, `le` and `any` are not. `lt`, `gt` and `contains` are not
supported on directory objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache

from local.tenant.call import unsupported_query

Reader = Callable[[str], object]
Test = Callable[[Reader], bool]

OR_LIMIT = 15  # clauses, github.com/microsoftgraph/microsoft-graph-docs/issues/21098
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*')
      | (?P<sign>[(),:])
      | (?P<word>[A-Za-z0-9_$@.\-+:/]*[A-Za-z0-9_$@.\-+/])
    )""",
    re.VERBOSE,
)
_LAMBDA = re.compile(r"^(\w+)/(any)$", re.IGNORECASE)
_COUNT = re.compile(r"^(\w+)/\$count$", re.IGNORECASE)
_FUNCTIONS = frozenset({"startswith", "endswith"})
_COMPARISONS: dict[str, Callable[[object, object], bool]] = {
    "eq": lambda have, wanted: have == wanted,
    "ne": lambda have, wanted: have != wanted,
    "ge": lambda have, wanted: have is not None and str(have) >= str(wanted),
    "le": lambda have, wanted: have is not None and str(have) <= str(wanted),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """`advanced`: it needs the header ConsistencyLevel and $count."""

    test: Test
    advanced: bool


@lru_cache(maxsize=512)
def parsed(raw: str, filterable: frozenset[str]) -> Filter:
    """The filter. Raises GraphError 400 for what is not supported; the text is the one commonly reported."""
    parser = _Parser(raw, filterable)
    test = parser.either()
    if not parser.is_done:
        raise _unsupported()
    return Filter(test, parser.advanced)


def too_many(clauses: int) -> Exception:
    """400 for a filter of too many alternatives."""
    return unsupported_query(
        "Too many child clauses specified in search filter expression containing 'OR' operators: "
        f"{clauses}. Max allowed: {OR_LIMIT}."
    )


def _unsupported() -> Exception:
    return unsupported_query("Unsupported or invalid query filter clause specified for the request.")


class _Parser:
    """Recursive descent: or, and, not, one clause. `item` is the variable of the lambda that is being read."""

    def __init__(self, raw: str, filterable: Collection[str]) -> None:
        self._names = {name.lower(): name for name in filterable}
        self._parts = _tokens(raw)
        self._at = 0
        self._item = ""
        self.advanced = False

    @property
    def is_done(self) -> bool:
        return self._at == len(self._parts)

    def either(self) -> Test:
        tests = [self._both()]
        while self._took("or"):
            tests.append(self._both())
        if len(tests) > OR_LIMIT:
            raise too_many(len(tests))
        return tests[0] if len(tests) == 1 else lambda read: any(test(read) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._took("and"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda read: all(test(read) for test in tests)

    def _one(self) -> Test:
        if self._took("not"):
            self.advanced = True
            test = self._one()
            return lambda read: not test(read)
        if self._took("("):
            test = self.either()
            self._need(")")
            return test
        return self._clause()

    def _clause(self) -> Test:
        word = self._word()
        if word.lower() in _FUNCTIONS and self._took("("):
            return self._function(word.lower())
        if (found := _LAMBDA.match(word)) and self._took("("):
            return self._any(self._name(found[1]))
        if found := _COUNT.match(word):
            self.advanced = True
            name = self._name(found[1])
            return self._compared(lambda read: _length(read(name)))
        name = self._name(word)
        if self._took("in"):
            return self._listed(name)
        return self._compared(lambda read: _folded(read(name)))

    def _function(self, function: str) -> Test:
        name = self._name(self._word())
        self._need(",")
        wanted = str(self._value() or "")
        self._need(")")
        if function == "endswith":
            self.advanced = True
            return lambda read: str(_folded(read(name)) or "").endswith(wanted)
        return lambda read: str(_folded(read(name)) or "").startswith(wanted)

    def _any(self, name: str) -> Test:
        """A lambda over texts (`a:a eq 'x'`) or objects (`a:a/skuId eq x`), or one without a condition."""
        if self._took(")"):
            return lambda read: _length(read(name)) > 0
        self._item = self._word().rstrip(":")
        self._took(":")
        test = self.either()
        self._item = ""
        self._need(")")
        return lambda read: any(test(_reader_of(each)) for each in _items(read(name)))

    def _listed(self, name: str) -> Test:
        self._need("(")
        wanted = {self._value()}
        while self._took(","):
            wanted.add(self._value())
        self._need(")")
        if len(wanted) > OR_LIMIT:
            raise _unsupported()
        return lambda read: _folded(read(name)) in wanted

    def _compared(self, get: Test | Callable[[Reader], object]) -> Test:
        comparison = self._word().lower()
        if comparison not in _COMPARISONS:
            raise _unsupported()
        self.advanced |= comparison == "ne"
        compare, wanted = _COMPARISONS[comparison], self._value()
        return lambda read: compare(get(read), wanted)

    def _name(self, word: str) -> str:
        """A property that can be filtered by; inside a lambda, one of the item, or the item itself."""
        if self._item:
            head, _, tail = word.partition("/")
            if head != self._item:
                raise _unsupported()
            return tail
        if word.lower() not in self._names:
            raise _unsupported()
        return self._names[word.lower()]

    def _value(self) -> object:
        kind, text = self._next()
        if kind == "text":
            return text[1:-1].replace("''", "'").lower()
        lowered = text.lower()
        if kind != "word":
            raise _unsupported()
        if lowered in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[lowered]
        return int(lowered) if lowered.isdigit() else lowered

    def _word(self) -> str:
        kind, text = self._next()
        if kind != "word":
            raise _unsupported()
        return text

    def _next(self) -> tuple[str, str]:
        if self.is_done:
            raise _unsupported()
        self._at += 1
        return self._parts[self._at - 1]

    def _took(self, text: str) -> bool:
        if not self.is_done and self._parts[self._at][0] != "text" and self._parts[self._at][1].lower() == text:
            self._at += 1
            return True
        return False

    def _need(self, text: str) -> None:
        if not self._took(text):
            raise _unsupported()


def _tokens(raw: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    while raw[at:].strip():
        part = _TOKEN.match(raw, at)
        if part is None or part.lastgroup is None:
            raise _unsupported()
        kind, text = part.lastgroup, part[part.lastgroup]
        if kind == "word" and re.fullmatch(r"\w+:\S+", text) and not text[0].isdigit():
            head, _, tail = text.partition(":")  # `a:a/skuId` of a lambda
            found += [("word", head), ("sign", ":"), ("word", tail)]
        else:
            found.append((kind, text))
        at = part.end()
    return found


def _reader_of(item: object) -> Reader:
    return lambda name: item.get(name) if isinstance(item, dict) else item


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _length(value: object) -> int:
    return len(_items(value))


def _folded(value: object) -> object:
    return value.lower() if isinstance(value, str) else value
