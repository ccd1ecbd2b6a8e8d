"""What somebody might send who means harm or has a broken program: texts, values, and messages with parts replaced."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

NASTY = (
    "",
    " ",
    "..",
    "../groups/x",
    "a/b\\c",
    "x#y?z",
    "%2e%2e%2f",
    "' or PartitionKey ne '",
    "line\nERROR forged line",
    "\r\n\x1b[31mred\x00",
    "\u2028\u202e",
    "\ud800",
    "x" * 2000,
    "https://evil.example/v1.0/users?$skiptoken=1",
    "//evil.example/x",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "NaN",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-01-05T09:00:00",
    "00000000-0000-0000-0000-000000000001",
    "0" * 32,
)

REPLACEMENTS: tuple[Any, ...] = (*NASTY, None, True, [], {}, -1, 10**30, float("inf"), float("nan"))

texts = st.sampled_from(NASTY) | st.text(st.characters(), max_size=40)
numbers = (
    st.integers() | st.integers(10**20, 10**30) | st.sampled_from((-1, 0, 2**31, 2**63, float("inf"), float("nan")))
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every part of a JSON value, its own first."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


@st.composite
def broken(draw: st.DrawFn, messages: tuple[dict[str, Any], ...]) -> bytes:
    """One of the messages with up to three parts replaced, left out or renamed; or any value; or any bytes."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.binary(max_size=300))
    if kind == 1:
        return json.dumps(draw(values)).encode()
    message = copy.deepcopy(draw(st.sampled_from(messages)))
    for _ in range(draw(st.integers(0, 3))):
        *outer, last = draw(st.sampled_from([path for path in places(message) if path]))
        holder = message
        for key in outer:
            holder = holder[key]
        change = draw(st.integers(0, 9))
        if change == 0:
            del holder[last]
        elif change == 1 and isinstance(holder, dict):
            holder[draw(texts)] = holder.pop(last)
        else:
            holder[last] = draw(values)
        if not message:
            break
    return json.dumps(message).encode()


def one_part_replaced(messages: tuple[dict[str, Any], ...]) -> Iterator[bytes]:
    """Each message with each of its parts replaced by each of a few values that break something somewhere."""
    for message in messages:
        for *outer, last in (path for path in places(message) if path):
            for value in REPLACEMENTS:
                changed = copy.deepcopy(message)
                holder: Any = changed
                for key in outer:
                    holder = holder[key]
                holder[last] = value
                yield json.dumps(changed).encode()
