"""Ids, spelled as Graph spells them; lower-case strings made canonical where they enter."""

from __future__ import annotations

from typing import NewType

UserId = NewType("UserId", str)

GroupId = NewType("GroupId", str)

SkuId = NewType("SkuId", str)

ServicePlanId = NewType("ServicePlanId", str)

OperationId = NewType("OperationId", str)

What = tuple[UserId, SkuId]
"""What a removal takes: the unit in which removals are counted, held and dropped."""

Plans = frozenset[ServicePlanId]

NO_PLANS: Plans = frozenset()
