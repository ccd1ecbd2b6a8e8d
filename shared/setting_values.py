"""Reading settings one by one: numbers within limits, durations, ids, addresses; faults are collected."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, timedelta
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.domain.access import directory_roles
from shared.domain.hr_events import EVERY_SOURCE, SourceRules, Sources
from shared.domain.hr_senders import Senders, read_senders
from shared.domain.ids import GroupId, is_guid
from shared.domain.onboarding import SourceOrder

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
TRUE = frozenset({"true", "1", "yes"})
FALSE = frozenset({"", "false", "0", "no"})
NO_GROUPS = "none"
UNIT = "administrativeunit:"

T = TypeVar("T")
Choice = TypeVar("Choice", bound=StrEnum)

_DURATION = re.compile(
    r"P(?:(?P<days>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<hours>\d+(?:\.\d+)?)H)?(?:(?P<minutes>\d+(?:\.\d+)?)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)


def parse_duration(text: str) -> timedelta | None:
    """An ISO 8601 duration of days, hours, minutes and seconds; None for anything else, months and years too, since
    they have no fixed length."""
    match = _DURATION.fullmatch(text)
    given = {name: float(value) for name, value in (match.groupdict() if match else {}).items() if value}
    if not given or text.endswith("T"):
        return None
    return timedelta(**given)


class Reader:
    """Reads settings one by one and collects what is wrong with them; a faulty one reads as its default."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.faults: list[str] = []

    def text(self, name: str, default: str) -> str:
        return self._env.get(name, "").strip() or default

    def words(self, name: str) -> frozenset[str]:
        return frozenset(word.strip() for word in self.text(name, "").split(",") if word.strip())

    def flag(self, name: str) -> bool:
        text = self.text(name, "").lower()
        if text not in TRUE | FALSE:
            self.faults.append(f"{name} must be true or false, not {text!r}")
        return text in TRUE

    def switch(self, name: str) -> bool:
        """On unless it says off, so that a typing error switches nothing off."""
        text = self.text(name, "on").lower()
        if text not in ("on", "off"):
            self.faults.append(f"{name} must be on or off, not {text!r}")
        return text != "off"

    def sources(self, name: str) -> Sources:
        """An HR system, its order, and its time zone (UTC if not given) in each part."""
        found = dict(EVERY_SOURCE)
        for part in sorted(self.words(name)):
            words = part.split()
            try:
                source, order, zone = (*words, "UTC") if len(words) == 2 else words
                found[source] = SourceRules(SourceOrder(order), UTC if zone == "UTC" else ZoneInfo(zone))
            except (ValueError, OSError, ZoneInfoNotFoundError):
                orders = ", ".join(SourceOrder)
                rule = f"a source, one of {orders}, and a time zone such as Europe/Berlin in each part"
                self.faults.append(f"{name} must have {rule}, not {part!r}")
        return found

    def guid(self, name: str) -> str:
        text = self.text(name, "").lower()
        if not text:
            self.faults.append(f"{name} is missing: a GUID")
        elif not is_guid(text):
            self.faults.append(f"{name} must be a GUID, not {text!r}")
        return text

    def optional_guid(self, name: str) -> str:
        """A GUID, or nothing."""
        return self.guid(name) if self.text(name, "") else ""

    def guids(self, name: str) -> frozenset[str]:
        found = frozenset(word.lower() for word in self.words(name))
        self._must_be_guids(name, {each: each for each in found})
        return found

    def _must_be_guids(self, name: str, words: Mapping[str, str]) -> None:
        """`words`: the GUID in each word of the setting."""
        wrong = sorted(word for word, guid in words.items() if not is_guid(guid))
        self.faults += [f"{name} must list GUIDs, not {each!r}" for each in wrong]

    def senders(self, name: str) -> Senders | None:
        try:
            return read_senders(self.text(name, ""))
        except ValueError as fault:
            self.faults.append(f"{name} {fault}")
            return {}

    def hr_groups(self, name: str) -> tuple[frozenset[GroupId] | None, frozenset[str]]:
        """Groups, and administrative units. No groups but None if the setting is absent, which is not the same."""
        if self.text(name, "").lower() in ("", NO_GROUPS):
            return (frozenset() if self.text(name, "") else None), frozenset()
        units = frozenset(word.lower() for word in self.words(name) if word.lower().startswith(UNIT))
        found = {word.lower() for word in self.words(name)}
        self._must_be_guids(name, {each: each.removeprefix(UNIT) for each in found})
        return frozenset(map(GroupId, found - units)), frozenset(each.removeprefix(UNIT) for each in units)

    def directory_roles(self, name: str, default: str) -> Mapping[str, frozenset[str]]:
        try:
            return directory_roles(self.text(name, default))
        except ValueError as fault:
            self.faults.append(f"{name}: {fault}")
            return directory_roles(default)

    def one_of(self, name: str, default: Choice, choices: type[Choice]) -> Choice:
        words = ", ".join(choices)
        return self._parsed(name, default, lambda text: choices(text.lower()), f"one of {words}")

    def matching(self, name: str, default: str, pattern: re.Pattern[str], what: str) -> str:
        text = self.text(name, default)
        if not pattern.fullmatch(text):
            self.faults.append(f"{name} must be {what}, not {text!r}")
        return text

    def url(self, name: str, default: str) -> str:
        text = self.text(name, default).rstrip("/")
        parts = urlsplit(text)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
            self.faults.append(f"{name} must be an https URL (http only for this machine), not {text!r}")
        return text

    def origin(self, name: str) -> str:
        """An https address without path, query or user, of a host by name; http and addresses for this machine only."""
        text = self.text(name, "").rstrip("/")
        if not text:
            return ""
        parts = urlsplit(text)
        host = parts.hostname or ""
        local = host in LOOPBACK
        is_address = not local and (":" in host or host.replace(".", "").isdigit())
        if (
            not host
            or (parts.scheme != "https" and not (parts.scheme == "http" and local))
            or is_address
            or (not local and "." not in host)
            or parts.path
            or parts.query
            or parts.fragment
            or "@" in parts.netloc
        ):
            self.faults.append(f"{name} must be an https address with the name of a host and no path, not {text!r}")
        return text

    def connection(self, name: str, key: str) -> tuple[str | None, str | None]:
        """A connection string or the address for the managed identity: exactly one of them."""
        string, address = self.text(name, "") or None, self.text(f"{name}__{key}", "") or None
        if string and address:
            self.faults.append(f"{name} and {name}__{key} are both set: give one of them")
        if not string and not address:
            self.faults.append(f"{name} is missing: give {name}__{key} (managed identity) or a connection string")
        return string, address

    def whole(self, name: str, default: int, *, at_least: int, at_most: int | None = None) -> int:
        def parse(text: str) -> int | None:
            value = int(text)
            return value if value >= at_least and (at_most is None or value <= at_most) else None

        span = f"{at_least} or more" if at_most is None else f"{at_least} to {at_most}"
        return self._parsed(name, default, parse, f"a whole number, {span}")

    def number(
        self,
        name: str,
        default: float,
        *,
        above: float | None = None,
        below: float | None = None,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> float:
        def parse(text: str) -> float | None:
            value = float(text)
            fits = (
                math.isfinite(value)
                and (above is None or value > above)
                and (below is None or value < below)
                and (at_least is None or value >= at_least)
                and (at_most is None or value <= at_most)
            )
            return value if fits else None

        bounds = {"over": above, "below": below, "at least": at_least, "at most": at_most}
        span = ", ".join(f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None)
        return self._parsed(name, default, parse, f"a number, {span}")

    def duration(
        self, name: str, default: timedelta, *, at_most: timedelta, at_least: timedelta = timedelta(0)
    ) -> timedelta:
        def parse(text: str) -> timedelta | None:
            value = parse_duration(text)
            return value if value is not None and at_least <= value <= at_most else None

        least = f"at least {at_least} and " if at_least else ""
        return self._parsed(name, default, parse, f"an ISO 8601 duration such as PT1M, {least}at most {at_most}")

    def _parsed(self, name: str, default: T, parse: Callable[[str], T | None], what: str) -> T:
        text = self.text(name, "")
        if not text:
            return default
        try:
            value = parse(text)
        except ValueError:
            value = None
        if value is None:
            self.faults.append(f"{name} must be {what}, not {text!r}")
            return default
        return value
