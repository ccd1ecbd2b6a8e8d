"""The result of one round of /groups/delta, without HTTP: tokens, pieces of groups, and their distribution over pages.

A round covers the change log from one position to another, and repeated requests return the same. The token of a page
holds the round and the place in it. Source: learn.microsoft.com/graph/delta-query-overview
"""

from __future__ import annotations

import base64
import binascii
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import repeat, zip_longest
from typing import NamedTuple

import orjson

from local.tenant.directory.changes import Change, Kind, Presence
from local.tenant.directory.directory import Directory
from local.tenant.directory.model import Group

_RETURNING = (Kind.CREATED, Kind.RESTORED)


@dataclass(frozen=True, slots=True)
class DeltaRound:
    """A round in its token. `since` None is the first round; `until` None is a round that has not begun.

    `place` counts the pieces already given; -1 is the empty page some rounds begin with.
    """

    epoch: str
    issued: float
    since: int | None
    until: int | None
    place: int
    select: tuple[str, ...] | None
    groups: tuple[str, ...] | None

    def following(self, now: float) -> DeltaRound:
        """The round after this one."""
        return replace(self, issued=now, since=self.until, until=None, place=0)


class Piece(NamedTuple):
    """Part of what a round says of one group; `whole` ones show its properties, the others more of its members."""

    group: Group
    reason: Presence
    whole: bool
    members: list[tuple[str, bool]]
    properties_changed: bool


def encode(asked: DeltaRound) -> str:
    """The token of a round."""
    return base64.urlsafe_b64encode(orjson.dumps(asdict(asked))).decode()


def decode(token: str) -> DeltaRound | None:
    """The round of a token; None for another text."""
    try:
        raw = orjson.loads(base64.urlsafe_b64decode(token.encode()))
        lists = {name: None if raw[name] is None else tuple(raw[name]) for name in ("select", "groups")}
        return DeltaRound(**{**raw, **lists})
    except (binascii.Error, UnicodeError, orjson.JSONDecodeError, TypeError, KeyError):
        return None


def pieces(
    directory: Directory, asked: DeltaRound, with_members: bool, size: int, replays: tuple[float, int]
) -> list[Piece]:
    """Everything a round gives, in order; `asked.until` is set.

    First pieces of all groups come first, then their second ones: one group lies on several pages that need not follow
    each other. `replays`: the share of the pieces that is given again, further on, and how often at most.
    """
    assert asked.until is not None
    stacks = [list(one) for one in _by_group(directory, asked, asked.until, with_members, size)]
    given = [piece for layer in zip_longest(*stacks) for piece in layer if piece is not None]
    share, times = replays
    if share > 0:
        chance = random.Random(f"{asked.since} {asked.until}")
        again = [copy for piece in given if chance.random() < share for copy in repeat(piece, chance.randint(1, times))]
        chance.shuffle(again)
        given.extend(again)
    return given


def page_end(given: list[Piece], start: int, size: int) -> int:
    """Number of pieces up to the end of the page that begins at `start`; a page holds at least one."""
    room = size
    for place in range(start, len(given)):
        room -= 1 + len(given[place].members)
        if room < 0 and place > start:
            return place
    return len(given)


def _by_group(
    directory: Directory, asked: DeltaRound, until: int, with_members: bool, size: int
) -> Iterator[Iterator[Piece]]:
    if asked.since is None:
        for group_id in sorted(directory.groups):
            if _wanted(asked, group_id):
                group = directory.groups[group_id]
                if directory.presence(group, until) is Presence.THERE:
                    yield _full(directory, group, until, with_members, size)
        return
    for group_id, changes in directory.changes.between(asked.since, until).items():
        if _wanted(asked, group_id):
            yield _changed(directory, directory.groups[group_id], changes, until, with_members, size)


def _wanted(asked: DeltaRound, group_id: str) -> bool:
    return asked.groups is None or group_id in asked.groups


def _full(directory: Directory, group: Group, until: int, with_members: bool, size: int) -> Iterator[Piece]:
    members = [(one, True) for one in directory.members_at(group, until)] if with_members else []
    return _cut(group, members, size, properties_changed=True)


def _changed(
    directory: Directory, group: Group, changes: list[Change], until: int, with_members: bool, size: int
) -> Iterator[Piece]:
    """One group's changes: the changed objects in their state at the end of the round, in the order of last changes."""
    reason = directory.presence(group, until)
    if reason is not Presence.THERE:
        # A group that was created and deleted within the round was never reported, yet Graph may name it. Both are
        # harmless.
        return iter([Piece(group, reason, True, [], True)])
    if any(change.kind in _RETURNING for change in changes):
        return _full(directory, group, until, with_members, size)
    updated = any(change.kind is Kind.UPDATED for change in changes)
    touched: dict[str, bool] = {}
    for change in changes if with_members else ():
        if change.kind.of_member:
            touched.pop(change.member_id, None)
            touched[change.member_id] = change.kind is Kind.JOINED
    if not touched and not updated:
        return iter(())
    return _cut(group, list(touched.items()), size, properties_changed=updated)


def _cut(group: Group, members: list[tuple[str, bool]], size: int, *, properties_changed: bool) -> Iterator[Piece]:
    yield Piece(group, Presence.THERE, True, members[:size], properties_changed)
    for start in range(size, len(members), size):
        yield Piece(group, Presence.THERE, False, members[start : start + size], False)
