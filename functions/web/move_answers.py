"""Answers about moves between native and direct licensing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from functions.web.audit_answers import Json, initiated, initiator, moment_text
from functions.web.operation_answers import license_given
from shared.domain.ids import SkuId
from shared.domain.move import Move
from shared.domain.move_report import MoveReportRow, outcomes


def move(found: Move) -> Json:
    """A move, as all routes show it."""
    return {
        "id": found.id,
        "groupId": found.group_id,
        "direction": found.direction,
        "state": found.state,
        "phase": found.phase,
        "undoing": found.undoing,
        "pausedReason": found.paused or None,
        "problem": found.problem or None,
        "licenses": [license_given(each) for each in found.products],
        "pilot": list(found.pilot),
        "waves": list(found.waves),
        "wave": found.wave,
        "members": found.members,
        "nestedMembers": found.nested,
        "protectedMembers": found.protected,
        "convertDirect": list(found.convert),
        "unmanagedMembers": list(found.unmanaged),
        "newlyLicensedMembers": found.newly_licensed,
        "licensesNeeded": [
            {"skuId": sku_id, "needed": count, "available": found.needed.available.get(sku_id, 0)}
            for sku_id, count in sorted(found.needed.licenses.items())
        ],
        "verdicts": {str(verdict): count for verdict, count in found.verdicts.items()},
        "verifiedDateTimes": [moment_text(each) for each in found.verified],
        "checksum": found.checksum or None,
        "canBeUndone": found.can_be_undone,
        "removalErrors": found.errors,
        "createdDateTime": moment_text(found.created_at),
        "progressDateTime": moment_text(found.progress_at),
        "completedDateTime": moment_text(found.completed_at),
        **initiated(found.initiator),
        "approvals": [
            {"approvedBy": initiator(each.by), "approvedDateTime": moment_text(each.at)} for each in found.approvals
        ],
        "approvedBy": initiator(found.approved_by),
    }


def report_head(found: Move, rows: Sequence[MoveReportRow]) -> Json:
    """The move, and how many members have each outcome."""
    return {"move": move(found), "outcomes": {str(outcome): count for outcome, count in outcomes(rows).items()}}


def moved_member(row: MoveReportRow) -> Json:
    return {
        "id": row.user_id,
        "displayName": row.display_name or None,
        "userPrincipalName": row.user_principal_name or None,
        "outcome": row.outcome,
        "nested": row.nested,
        "sourcesBefore": _sources(row.before),
        "sourcesAfter": _sources(row.after),
        "lostPlans": _by_product(row.lost),
        "gainedPlans": _by_product(row.gained),
    }


def _sources(products: Mapping[SkuId, Iterable[str]]) -> list[Json]:
    return [{"skuId": sku_id, "sources": sorted(sources)} for sku_id, sources in sorted(products.items())]


def _by_product(products: Mapping[SkuId, Iterable[str]]) -> list[Json]:
    return [{"skuId": sku_id, "servicePlanIds": sorted(plans)} for sku_id, plans in sorted(products.items())]
