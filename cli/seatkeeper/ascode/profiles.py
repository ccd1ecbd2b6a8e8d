"""Profiles of HR onboarding in files: what differs from the app, and sending it. Another person approves most of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from seatkeeper import fields as f
from seatkeeper import routes
from seatkeeper.ascode.model import NO_PROFILE
from seatkeeper.ascode.resolving import ResolvedProfile
from seatkeeper.client import Client
from seatkeeper.errors import ERROR, OK, WAITS, ApiError
from seatkeeper.names import Names

WAITING = "A version that says this waits for the approval of another person."

DONE, PROPOSED, NOT_SENT = "Saved", "AwaitingApproval", "NotSent"

Json = dict[str, Any]


@dataclass(frozen=True)
class ProfileChange:
    """A profile to save. `version`: the ETag that it has now, empty if there is none yet."""

    name: str
    body: Mapping[str, Any]
    version: str
    lines: tuple[str, ...]

    @property
    def row(self) -> Json:
        """The change as the plan file has it."""
        return {"name": self.name, "version": self.version, "body": dict(self.body), "lines": list(self.lines)}


def stated(answer: Mapping[str, Any]) -> Json:
    """A profile of the API as files state it, the same for the same content."""
    return {
        f.DISPLAY_NAME: answer[f.DISPLAY_NAME],
        f.MATCH: {name: sorted(values) for name, values in sorted(answer[f.MATCH].items())},
        f.GROUPS: sorted(answer[f.GROUPS]),
        f.LICENSES: sorted(
            (
                {f.SKU_ID: each[f.SKU_ID], f.DISABLED_PLANS: sorted(each[f.DISABLED_PLANS])}
                for each in answer[f.LICENSES]
            ),
            key=lambda each: str(each[f.SKU_ID]),
        ),
        f.USAGE_LOCATION: answer[f.USAGE_LOCATION],
        **{name: answer[name] for name in (f.PRIORITY, f.EXCLUSIVE, f.SELECTABLE)},
    }


def in_force(client: Client) -> dict[str, Json]:
    """All profiles of the app by name, as the API shows them."""
    return {str(each["name"]): each for each in client.all(routes.PROFILES)}


def proposed(client: Client) -> dict[str, Json]:
    """What waits for an approval, by the name of the profile. A proposed deletion states nothing."""
    found = client.all(routes.PROPOSALS)
    return {str(each["name"]): stated(each["profile"]) for each in found if not each["deletes"]}


def changes_of(client: Client, names: Names, profiles: Sequence[ResolvedProfile]) -> list[ProfileChange]:
    """The profiles that differ from the files, by name."""
    if not profiles:
        return []
    known, waiting = in_force(client), proposed(client)
    found = []
    for each in sorted(profiles, key=lambda each: each.name):
        now = known.get(each.name)
        before = stated(now) if now else None
        if before == each.body:
            continue
        lines = [*(["new profile"] if before is None else []), *_differences(before, each.body, names)]
        lines += [WAITING] if waiting.get(each.name) == each.body else []
        found.append(ProfileChange(each.name, each.body, str(now[f.ETAG]) if now else "", tuple(lines)))
    return found


def _differences(before: Mapping[str, Any] | None, after: Mapping[str, Any], names: Names) -> Iterator[str]:
    """The change in words, one line for each group, product, condition and option."""
    old: Mapping[str, Any] = before or NO_PROFILE
    for name in sorted({*old[f.MATCH], *after[f.MATCH]}):
        values = [", ".join(each[f.MATCH].get(name, ())) or "any" for each in (old, after)]
        if values[0] != values[1]:
            yield f"~ when {name}: {values[0]} -> {values[1]}"
    yield from _listed(partial(_group_label, names), old[f.GROUPS], after[f.GROUPS])
    licenses = [{each[f.SKU_ID]: each[f.DISABLED_PLANS] for each in side[f.LICENSES]} for side in (old, after)]
    yield from _listed(names.product_label, licenses[0], licenses[1])
    for sku_id in sorted(licenses[1].keys()):
        off = sorted(names.app_label(sku_id, plan) for plan in licenses[1][sku_id])
        if licenses[0].get(sku_id, []) != licenses[1][sku_id]:
            yield f"~ {names.product_label(sku_id)} without {', '.join(off) or 'nothing'}"
    for name in (f.DISPLAY_NAME, f.USAGE_LOCATION, f.PRIORITY, f.EXCLUSIVE, f.SELECTABLE):
        if old[name] != after[name]:
            yield f"~ {name}: {_word(old[name])} -> {_word(after[name])}"


def _group_label(names: Names, group_id: str) -> str:
    if names.group_label(group_id) == group_id:
        names.groups_named(group_id)  # reads the name of a group that assigns nothing
    return names.group_label(group_id)


def _listed(label: Callable[[str], str], old: Iterable[str], new: Iterable[str]) -> Iterator[str]:
    before, after = set(old), set(new)
    yield from (f"+ {label(each)}" for each in sorted(after - before))
    yield from (f"- {label(each)}" for each in sorted(before - after))


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "none" if value in (None, "") else str(value)


@dataclass
class Sent:
    """The end of one profile: `Saved`, `AwaitingApproval`, or `NotSent` with a reason."""

    name: str
    state: str
    note: str = ""

    @property
    def code(self) -> int:
        return {DONE: OK, PROPOSED: WAITS}.get(self.state, ERROR)

    def shown(self) -> Json:
        return {"profile": self.name, "state": self.state, "note": self.note or None}


class Profiles:
    """The profiles of a plan. An earlier run of the same plan may have sent some of them."""

    def __init__(self, client: Client, rows: Sequence[Mapping[str, Any]]) -> None:
        self._client = client
        self._rows = rows

    def stale(self) -> list[str]:
        """Profiles that are neither as they were planned from, nor as planned already."""
        if not self._rows:
            return []
        known = in_force(self._client)
        found = []
        for row in self._rows:
            now = known.get(row["name"])
            version = str(now[f.ETAG]) if now else ""
            if version != row["version"] and (now is None or stated(now) != row["body"]):
                found.append(f"Profile {row['name']}: it was changed after the plan.")
        return found

    def send(self, stopped: str) -> list[Sent]:
        """Save or propose every profile. `stopped`: the group whose rejection ended the plan, if any."""
        if not self._rows:
            return []
        known, waiting = in_force(self._client), proposed(self._client)
        return [self._send(row, known, waiting, stopped) for row in self._rows]

    def _send(
        self, row: Mapping[str, Any], known: Mapping[str, Json], waiting: Mapping[str, Json], stopped: str
    ) -> Sent:
        name, now = row["name"], known.get(row["name"])
        if now is not None and stated(now) == row["body"]:
            return Sent(name, DONE)
        if waiting.get(name) == row["body"]:
            return Sent(name, PROPOSED)
        if stopped:
            return Sent(name, NOT_SENT, f"Not sent, because {stopped} was rejected.")
        headers = {"if-match": row["version"]} if row["version"] else None
        try:
            answer = self._client.ask(routes.SAVE_PROFILE, name, body=row["body"], headers=headers)
        except ApiError as fault:
            return Sent(name, NOT_SENT, fault.message)
        return Sent(name, PROPOSED if f.PROPOSED_BY in answer else DONE)
