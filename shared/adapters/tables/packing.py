"""Domain values to and from the compact JSON of rows. Times are ISO 8601 in UTC, ids lower case, sets sorted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.domain.assignment import AssignmentOptions
from shared.domain.directory import AssignedLicense, LicenseError, LicenseState
from shared.domain.grant import Grant, Source
from shared.domain.ids import GroupId, Plans, ServicePlanId, SkuId, UserId
from shared.domain.initiator import Initiator, InitiatorKind
from shared.domain.ledger_row import Intent, LastResult, ManagedLicense, RejectionRecord, SeenRow
from shared.domain.operation import Approval
from shared.domain.outcomes import Problem
from shared.domain.permit import Claim

END_OF_TIME_MS = 9_999_999_999_999


TIME_DIGITS = 12
LATEST = 16**TIME_DIGITS - 1


def inverted(time_id: str) -> str:
    """The row key of an id that begins with the time: newer ids sort first. Raises ValueError for another id."""
    return f"{LATEST - int(time_id[:TIME_DIGITS], 16):012x}{time_id[TIME_DIGITS:]}"


def newest_first(at: datetime, key: str) -> str:
    """A row key that sorts newer rows first."""
    return f"{END_OF_TIME_MS - int(at.timestamp() * 1000):013d}-{key}"


def dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def time_text(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None


def time_of(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def must_be_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def initiator_json(initiator: Initiator | None) -> list[str] | None:
    """Six texts."""
    if initiator is None:
        return None
    who = initiator
    return [who.id, who.display_name, str(who.kind), who.app_id, who.channel, who.claimed_by]


def initiator_of(value: list[str]) -> Initiator:
    object_id, display_name, kind, app_id, channel, claimed_by = value
    return Initiator(object_id, display_name, InitiatorKind(kind), app_id, channel, claimed_by)


def plans_json(plans: Plans | None) -> list[str] | None:
    return None if plans is None else sorted(plans)


def plans_of(value: Iterable[str]) -> Plans:
    return frozenset(ServicePlanId(plan) for plan in value)


def maybe_plans(value: Iterable[str] | None) -> Plans | None:
    return None if value is None else plans_of(value)


def pack_ids(ids: Iterable[str]) -> bytes:
    """16 bytes an id."""
    return b"".join(UUID(each).bytes for each in ids)


def unpack_ids(data: bytes) -> tuple[UserId, ...]:
    return tuple(UserId(str(UUID(bytes=data[at : at + 16]))) for at in range(0, len(data), 16))


def licenses_json(licenses: Iterable[AssignedLicense]) -> list[list[Any]]:
    return [[license.sku_id, sorted(license.disabled_plans)] for license in licenses]


def licenses_of(value: Iterable[Iterable[Any]]) -> tuple[AssignedLicense, ...]:
    return tuple(AssignedLicense(SkuId(sku_id), plans_of(plans)) for sku_id, plans in value)


def managed_json(managed: Mapping[SkuId, ManagedLicense]) -> dict[str, list[Any]]:
    return {
        sku_id: [
            plans_json(license.disabled_plans),
            time_text(license.at),
            [str(source) for source in license.sources],
            *([proof] if (proof := _proof_json(license)) else ()),
        ]
        for sku_id, license in managed.items()
    }


def managed_of(value: Mapping[str, list[Any]]) -> dict[SkuId, ManagedLicense]:
    return {
        SkuId(sku_id): replace(
            ManagedLicense(plans_of(plans), must_be_time(at), tuple(Source.parse(s) for s in sources)),
            **(_proof_of(proof[0]) if proof else {}),
        )
        for sku_id, (plans, at, sources, *proof) in value.items()
    }


def _proof_json(license: ManagedLicense) -> dict[str, Any]:
    """What reads are compared with; a license of a former version has none."""
    found: dict[str, Any] = {}
    if license.written:
        found["written"] = [time_text(at) for at in license.written]
    if license.seen:
        found["seen"] = [time_text(license.seen.updated), str(license.seen.state), license.seen.error]
    if license.unclear:
        found["unclear"] = True
    if license.since:
        found["since"] = time_text(license.since)
        found["changes"] = {time_text(at): plans_json(plans) for at, plans in license.changes.items()}
    return found


def _proof_of(value: Mapping[str, Any]) -> dict[str, Any]:
    written, shown = value.get("written"), value.get("seen")
    return {
        "written": (must_be_time(written[0]), must_be_time(written[1])) if written else None,
        "seen": SeenRow(must_be_time(shown[0]), LicenseState.parse(shown[1]), shown[2]) if shown else None,
        "unclear": bool(value.get("unclear")),
        "since": time_of(value.get("since")),
        "changes": {must_be_time(at): plans_of(plans) for at, plans in value.get("changes", {}).items()},
    }


def intent_json(intent: Intent) -> dict[str, Any]:
    return {
        "id": intent.id,
        "cause": intent.cause,
        "before": {sku_id: plans_json(plans) for sku_id, plans in intent.before.items()},
        "after": {sku_id: plans_json(plans) for sku_id, plans in intent.after.items()},
        "at": time_text(intent.at),
        "location": intent.usage_location,
        "sources": {sku_id: [str(s) for s in sources] for sku_id, sources in intent.sources.items()},
        **({"foreign": sorted(intent.unmanaged)} if intent.unmanaged else {}),
        **({"leftOut": {sku: plans_json(plans) for sku, plans in intent.left_out.items()}} if intent.left_out else {}),
    }


def intent_of(value: Mapping[str, Any]) -> Intent:
    return Intent(
        value["id"],
        value["cause"],
        {SkuId(sku_id): maybe_plans(plans) for sku_id, plans in value["before"].items()},
        {SkuId(sku_id): maybe_plans(plans) for sku_id, plans in value["after"].items()},
        must_be_time(value["at"]),
        value["location"],
        {SkuId(sku_id): tuple(Source.parse(s) for s in sources) for sku_id, sources in value["sources"].items()},
        frozenset(SkuId(sku_id) for sku_id in value.get("foreign", ())),
        {SkuId(sku_id): plans_of(plans) for sku_id, plans in value.get("leftOut", {}).items()},
    )


def result_json(result: LastResult) -> list[Any]:
    return [result.intent_id, result.cause, time_text(result.at)]


def result_of(value: list[str]) -> LastResult:
    return LastResult(value[0], value[1], must_be_time(value[2]))


def rejection_json(record: RejectionRecord) -> list[Any]:
    return [record.fingerprint, str(record.error), record.text, time_text(record.at), plans_json(record.plans)]


def rejection_of(value: list[Any]) -> RejectionRecord:
    return RejectionRecord(value[0], LicenseError(value[1]), value[2], must_be_time(value[3]), plans_of(value[4]))


def grant_json(grant: Grant) -> dict[str, Any]:
    return {
        "sku": grant.sku_id,
        "off": plans_json(grant.disabled_plans),
        "source": str(grant.source),
        "until": time_text(grant.until),
        **({"since": time_text(grant.since), "adds": grant.adds} if grant.blocks else {}),
    }


def grant_of(value: Mapping[str, Any]) -> Grant:
    return Grant(
        SkuId(value["sku"]),
        plans_of(value["off"]),
        Source.parse(value["source"]),
        time_of(value["until"]),
        adds=value.get("adds", True),
        since=time_of(value.get("since")),
    )


def claims_json(claims: Iterable[Claim]) -> list[list[Any]]:
    return [[str(claim.source), claim.version] for claim in sorted(claims)]


def claims_of(value: Iterable[list[Any]]) -> frozenset[Claim]:
    return frozenset(Claim(Source.parse(source), version) for source, version in value)


def approvals_json(approvals: Iterable[Approval]) -> list[list[Any]]:
    return [[initiator_json(each.by), time_text(each.at)] for each in approvals]


def approvals_of(value: Iterable[list[Any]]) -> tuple[Approval, ...]:
    return tuple(Approval(initiator_of(by), must_be_time(at)) for by, at in value)


def problems_json(problems: Iterable[Problem]) -> list[list[Any]]:
    return [[str(p.error), p.text, p.remedy, p.sku_id, *([list(p.held_by)] if p.held_by else [])] for p in problems]


def problems_of(value: Iterable[list[Any]]) -> tuple[Problem, ...]:
    return tuple(
        Problem(
            LicenseError(error),
            text,
            remedy,
            SkuId(sku_id) if sku_id else None,
            tuple(SkuId(each) for each in held_by[0]) if held_by else (),
        )
        for error, text, remedy, sku_id, *held_by in value
    )


def options_json(options: AssignmentOptions) -> dict[str, Any]:
    return {
        "usageLocation": options.usage_location,
        "requireUsageLocation": options.require_usage_location,
        "countInherited": options.count_inherited,
        "includeGuests": options.include_guests,
        "includeDisabledAccounts": options.include_disabled_accounts,
        "excludedGroups": sorted(options.excluded_groups),
        "graceSeconds": options.grace.total_seconds(),
        "allowNativeOverlap": options.allow_native_overlap,
        "priority": options.priority,
        "removalAllowance": options.removal_allowance,
        "removalAllowanceReason": options.removal_allowance_reason,
    }


def options_of(value: Mapping[str, Any]) -> AssignmentOptions:
    return AssignmentOptions(
        usage_location=value["usageLocation"],
        require_usage_location=value["requireUsageLocation"],
        count_inherited=value["countInherited"],
        include_guests=value["includeGuests"],
        include_disabled_accounts=value["includeDisabledAccounts"],
        excluded_groups=frozenset(GroupId(group) for group in value["excludedGroups"]),
        grace=timedelta(seconds=value["graceSeconds"]),
        allow_native_overlap=value["allowNativeOverlap"],
        priority=value["priority"],
        removal_allowance=value.get("removalAllowance"),
        removal_allowance_reason=value.get("removalAllowanceReason", ""),
    )
