"""Queue declarations in the shape of Microsoft's emulator (UserConfig.Namespaces[].Queues[]), all faults at once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
UNITS_S = (86_400.0, 3_600.0, 60.0, 1.0)


class ConfigError(Exception):
    """The declaration is wrong; every fault is in the text."""


@dataclass(frozen=True)
class QueueSettings:
    """Durations in seconds; `default_ttl_s` None: messages do not expire."""

    lock_duration_s: float = 60.0
    max_delivery_count: int = 10
    default_ttl_s: float | None = None
    dead_letter_on_expiration: bool = False
    requires_duplicate_detection: bool = False
    duplicate_window_s: float = 600.0


def duration_s(text: str) -> float:
    """Seconds of an ISO 8601 duration of days, hours, minutes, seconds. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise ValueError(f"{text!r} is not an ISO 8601 duration such as PT1M")
    return sum(float(part) * unit for part, unit in zip(match.groups(), UNITS_S, strict=True) if part)


def load(path: Path) -> dict[str, QueueSettings]:
    """Queues by name in lower case. Raises ConfigError."""
    try:
        declared = json.loads(path.read_text())["UserConfig"]["Namespaces"]
        queues = [queue for namespace in declared for queue in namespace["Queues"]]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise ConfigError(f"{path}: not a declaration of queues: {fault!r}") from fault
    found: dict[str, QueueSettings] = {}
    faults: list[str] = []
    for queue in queues:
        name = str(queue.get("Name", "")).lower()
        if not name or name in found:
            faults.append(f"queue {name!r}: the name is missing or given twice")
            continue
        try:
            found[name] = _settings(queue.get("Properties", {}))
        except (ValueError, TypeError) as fault:
            faults.append(f"queue {name}: {fault}")
    if faults:
        raise ConfigError(f"{path}: " + "; ".join(faults))
    return found


def _settings(properties: Mapping[str, Any]) -> QueueSettings:
    if properties.get("RequiresSession"):
        raise ValueError("RequiresSession: sessions are not supported")
    ttl = properties.get("DefaultMessageTimeToLive")
    return QueueSettings(
        lock_duration_s=duration_s(properties.get("LockDuration", "PT1M")),
        max_delivery_count=int(properties.get("MaxDeliveryCount", 10)),
        default_ttl_s=duration_s(ttl) if ttl else None,
        dead_letter_on_expiration=bool(properties.get("DeadLetteringOnMessageExpiration", False)),
        requires_duplicate_detection=bool(properties.get("RequiresDuplicateDetection", False)),
        duplicate_window_s=duration_s(properties.get("DuplicateDetectionHistoryTimeWindow", "PT10M")),
    )
