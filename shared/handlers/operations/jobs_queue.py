"""The `jobs` queue: requests of other systems, as messages. The right to send is the right to ask, never a permit.

The published form is `schemas/job.v1.json`; what this module takes and what the schema allows is the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shared.domain.directory import AssignedLicense
from shared.domain.errors import BadRequest, KeyReused, NotFound, PoisonMessage
from shared.domain.ids import GroupId, ServicePlanId, SkuId, UserId, is_guid
from shared.domain.initiator import Initiator, queue_sender
from shared.domain.messages import JOBS, load_object
from shared.domain.operation import LicenseChange, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.read_models import DeadLetterKind
from shared.handlers.messaging.settlement import AWAY, dead_letter_message
from shared.handlers.operations.accept import accept
from shared.handlers.operations.needs import Needs

VERSION = "1.0"
OPERATIONS = ("assignLicense", "reprocess", "preview")
FIELDS = frozenset(
    {
        "version",
        "id",
        "operation",
        "groupId",
        "userIds",
        "addLicenses",
        "removeLicenses",
        "requestedBy",
        "correlationId",
    }
)
MAX_SKUS = 50
MAX_PLANS = 200
MAX_USERS = 5000
"""Ids that still fit a message of 256 KB, the limit of Service Bus Standard
(learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas)."""

_ID = re.compile(r"[A-Za-z0-9._:~-]{1,128}")


async def process_jobs(world: Needs, body: bytes) -> None:
    """Accept the request in one message; the same id again changes nothing.

    A request that is rejected ends as a dead letter with its reason. Raises PoisonMessage for a message that is no
    request, Unavailable when a dependency is away, PermissionDenied until a person grants it, Conflict when others
    change the same assignment all the time.
    """
    request = decode_job(body)
    try:
        await accept(world, request)
    except (BadRequest, NotFound, KeyReused) as rejection:
        reason = f"job {request.idempotency_key!r} was rejected: {rejection}"
        await dead_letter_message(world, JOBS, body, reason, kind=DeadLetterKind.UNREADABLE)


async def accept_corrected(world: Needs, body: bytes, initiator: Initiator) -> None:
    """Accept the request in a message that a person corrected, as the person's own. Raises BadRequest for a message
    that is no request, and what `accept` raises."""
    try:
        request = decode_job(body)
    except PoisonMessage as fault:
        raise BadRequest("InvalidJob", f"The corrected message is not valid: {fault}", "message") from fault
    claimed_by = request.initiator.claimed_by
    await accept(world, replace(request, initiator=replace(initiator, claimed_by=claimed_by)))


def decode_job(body: bytes) -> OperationRequest:
    """The request in a message. Raises PoisonMessage naming the field and the limit for anything the schema rejects."""
    fields = load_object(body, "jobs message")
    try:
        return _request(fields)
    except ValueError as fault:
        raise PoisonMessage(f"jobs message: {fault}") from fault


def _request(fields: Mapping[str, Any]) -> OperationRequest:
    unknown = sorted(fields.keys() - FIELDS - {AWAY})
    if unknown:
        raise ValueError(f"{unknown[0]} is not a field of version {VERSION}")
    if fields.get("version") != VERSION:
        raise ValueError(f"version must be {VERSION!r}, not {fields.get('version')!r}")
    job_id = _text(fields, "id", 128)
    if not _ID.fullmatch(job_id):
        raise ValueError("id must be 1 to 128 of letters, digits and . _ : ~ -")
    operation = fields.get("operation")
    if operation not in OPERATIONS:
        raise ValueError(f"operation must be one of {', '.join(OPERATIONS)}, not {operation!r}")
    change = _change(fields)
    asks_nothing = not change.add and not change.remove
    if operation == "reprocess" and not asks_nothing:
        raise ValueError("reprocess takes neither addLicenses nor removeLicenses")
    if operation != "reprocess" and asks_nothing:
        raise ValueError(f"{operation} needs addLicenses or removeLicenses")
    request = OperationRequest(
        target=_target(fields),
        initiator=queue_sender(JOBS, _text(fields, "requestedBy", 256) if "requestedBy" in fields else ""),
        change=change,
        preview=operation == "preview",
        reprocess=operation == "reprocess",
        idempotency_key=job_id,
        cause="job",
    )
    if "correlationId" in fields:
        return replace(request, correlation_id=_text(fields, "correlationId", 128, at_least=0))
    return request


def _target(fields: Mapping[str, Any]) -> Target:
    if ("groupId" in fields) == ("userIds" in fields):
        raise ValueError("give either groupId or userIds")
    if "groupId" in fields:
        return Target(group_id=GroupId(_guid(fields["groupId"], "groupId")))
    users = _items(fields, "userIds", MAX_USERS)
    if not users:
        raise ValueError(f"userIds is empty, must hold 1 to {MAX_USERS} ids")
    ids = dict.fromkeys(UserId(_guid(user, "userIds")) for user in users)
    return Target(user_ids=tuple(ids))


def _change(fields: Mapping[str, Any]) -> LicenseChange:
    add = tuple(_license(item) for item in _items(fields, "addLicenses", MAX_SKUS))
    skus = [license.sku_id for license in add]
    twice = sorted({sku_id for sku_id in skus if skus.count(sku_id) > 1})
    if twice:
        raise ValueError(f"addLicenses names SKU {twice[0]} twice")
    remove = tuple(SkuId(_guid(item, "removeLicenses")) for item in _items(fields, "removeLicenses", MAX_SKUS))
    return LicenseChange(add, tuple(dict.fromkeys(remove)))


def _license(item: object) -> AssignedLicense:
    if not isinstance(item, dict) or not item.keys() <= {"skuId", "disabledPlans"}:
        raise ValueError("addLicenses must hold objects of skuId and disabledPlans")
    plans = _items(item, "disabledPlans", MAX_PLANS)
    return AssignedLicense(
        SkuId(_guid(item.get("skuId"), "addLicenses.skuId")),
        frozenset(ServicePlanId(_guid(plan, "addLicenses.disabledPlans")) for plan in plans),
    )


def _items(fields: Mapping[str, Any], name: str, at_most: int) -> list[object]:
    value = fields.get(name, [])
    if not isinstance(value, list):
        raise ValueError(f"{name} must be an array")
    if len(value) > at_most:
        raise ValueError(f"{name} holds {len(value)} items, at most {at_most} are taken")
    return value


def _guid(value: object, name: str) -> str:
    text = value.lower() if isinstance(value, str) else ""
    if not is_guid(text):
        raise ValueError(f"{name} must be a GUID, not {str(value)[:64]!r}")
    return text


def _text(fields: Mapping[str, Any], name: str, at_most: int, *, at_least: int = 1) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not at_least <= len(value) <= at_most:
        raise ValueError(f"{name} must be a text of {at_least} to {at_most} characters")
    return value
