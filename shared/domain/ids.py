"""Ids, spelled as Graph spells them; lower-case strings made canonical where they enter."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NewType

UserId = NewType("UserId", str)

GroupId = NewType("GroupId", str)

SkuId = NewType("SkuId", str)

ServicePlanId = NewType("ServicePlanId", str)

OperationId = NewType("OperationId", str)

What = tuple[UserId, SkuId]
"""The license that a removal removes: the unit in which removals are counted, held and dropped."""

Plans = frozenset[ServicePlanId]

NO_PLANS: Plans = frozenset()

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_guid(text: str) -> bool:
    """Whether it is a GUID in lower case."""
    return _GUID.fullmatch(text) is not None


def new_id(now: datetime, token: str) -> str:
    """32 hex digits: 12 of milliseconds since the epoch, so that ids sort by time, and 20 of the random token."""
    return f"{int(now.timestamp() * 1000):012x}{token[:20]}"
