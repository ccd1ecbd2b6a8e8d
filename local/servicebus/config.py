"""Queue declarations in the shape of Microsoft's emulator, UserConfig.Namespaces[].Queues[]; all faults at once.

Shape and limits: learn.microsoft.com/azure/service-bus-messaging/test-locally-with-service-bus-emulator and
.../service-bus-quotas.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_UNITS_S = (604_800.0, 86_400.0, 3_600.0, 60.0, 1.0)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,258}[A-Za-z0-9])?")
MAX_LOCK_S = 300.0
MAX_DELIVERY_COUNT = 2000
MAX_DUPLICATE_WINDOW_S = 7 * 86_400.0
GIBIBYTE = 2**30


class ConfigError(Exception):
    """A declaration is wrong. `faults` has each fault as a sentence that names the queue and the property."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """Durations in seconds. `default_ttl_s` None: messages without a time to live of their own do not expire."""

    lock_duration_s: float = 60.0
    max_delivery_count: int = 10
    default_ttl_s: float | None = None
    dead_letter_on_expiration: bool = False
    requires_duplicate_detection: bool = False
    duplicate_window_s: float = 600.0
    max_size_bytes: int = GIBIBYTE
    """With its dead letters. 1 GiB is the least that a queue in Azure can be given."""


def duration_s(text: object) -> float:
    """Seconds of an ISO 8601 duration of weeks, days, hours, minutes and seconds. Raises ValueError."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None or not any(match.groups()) or str(text).endswith("T"):
        raise ValueError(f"{text!r} is not an ISO 8601 duration such as PT1M")
    return sum(float(part) * unit for part, unit in zip(match.groups(), _UNITS_S, strict=True) if part)


def load(path: Path) -> dict[str, QueueSettings]:
    """Queues by name in lower case. Raises ConfigError with all faults of the file."""
    try:
        declared = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise ConfigError([f"{path}: cannot be read as JSON: {fault}"]) from fault
    try:
        return parse(declared)
    except ConfigError as fault:
        raise ConfigError([f"{path}: {each}" for each in fault.faults]) from fault


def parse(declared: Any) -> dict[str, QueueSettings]:
    """Queues of a declaration by name in lower case. Raises ConfigError with all its faults."""
    faults: list[str] = []
    found: dict[str, QueueSettings] = {}
    for queue in _queues(declared, faults):
        name = queue.get("Name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            faults.append(f"queue {name!r}: Name must be 1 to 260 letters, digits, '.', '-', '_' or '/'")
            name = ""
        elif name.lower() in found:
            faults.append(f"queue {name}: is declared twice")
        found[name.lower()] = _settings(name, queue.get("Properties") or {}, faults)
    if not found and not faults:
        faults.append("no queue is declared in UserConfig.Namespaces[].Queues")
    if faults:
        raise ConfigError(faults)
    return found


def _queues(declared: Any, faults: list[str]) -> Iterator[Mapping[str, Any]]:
    user = declared.get("UserConfig") if isinstance(declared, dict) else None
    namespaces = user.get("Namespaces") if isinstance(user, dict) else None
    if not isinstance(namespaces, list) or not all(isinstance(each, dict) for each in namespaces):
        faults.append("UserConfig.Namespaces must be a list of objects")
        return
    if len(namespaces) > 1:
        faults.append(f"{len(namespaces)} namespaces are declared; the limit is 1")
    for namespace in namespaces:
        if namespace.get("Topics"):
            faults.append("Topics are not supported")
        queues = namespace.get("Queues", [])
        if not isinstance(queues, list) or not all(isinstance(each, dict) for each in queues):
            faults.append("Queues must be a list of objects")
        else:
            yield from queues


def _settings(name: str, properties: Any, faults: list[str]) -> QueueSettings:
    if not isinstance(properties, dict):
        faults.append(f"queue {name}: Properties must be an object")
        return QueueSettings()
    values: dict[str, Any] = {}
    for key, given in properties.items():
        if key not in _PROPERTIES:
            faults.append(f"queue {name}: {key} is not a known property")
            continue
        field, read = _PROPERTIES[key]
        try:
            value = read(given)
        except ValueError as fault:
            faults.append(f"queue {name}: {key}: {fault}")
        else:
            if field is not None:
                values[field] = value
    return QueueSettings(**values)


def _duration(limit_s: float | None = None) -> Callable[[object], float]:
    def read(given: object) -> float:
        value = duration_s(given)
        if value <= 0 or (limit_s is not None and value > limit_s):
            raise ValueError(f"{given} must be more than 0 s" + (f" and at most {limit_s:g} s" if limit_s else ""))
        return value

    return read


def _flag(given: object) -> bool:
    if not isinstance(given, bool):
        raise ValueError(f"{given!r} is neither true nor false")
    return given


def _count(given: object) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= MAX_DELIVERY_COUNT:
        raise ValueError(f"{given!r} must be a number from 1 to {MAX_DELIVERY_COUNT}")
    return given


def _unsupported(given: object) -> None:
    if given not in (None, "", False):
        raise ValueError(f"{given!r} is not supported")


_PROPERTIES: dict[str, tuple[str | None, Callable[[object], Any]]] = {
    "LockDuration": ("lock_duration_s", _duration(MAX_LOCK_S)),
    "MaxDeliveryCount": ("max_delivery_count", _count),
    "DefaultMessageTimeToLive": ("default_ttl_s", _duration()),
    "DeadLetteringOnMessageExpiration": ("dead_letter_on_expiration", _flag),
    "RequiresDuplicateDetection": ("requires_duplicate_detection", _flag),
    "DuplicateDetectionHistoryTimeWindow": ("duplicate_window_s", _duration(MAX_DUPLICATE_WINDOW_S)),
    "RequiresSession": (None, _unsupported),
    "ForwardTo": (None, _unsupported),
    "ForwardDeadLetteredMessagesTo": (None, _unsupported),
}
