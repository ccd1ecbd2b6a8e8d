"""Routes of the license center: products and the groups that give them, groups found by name, people, the audit log."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request

from functions.web import answers, audit_answers, health_answers
from functions.web.audit_answers import Json
from functions.web.context import ThePaging, ThePerson, TheWorld
from functions.web.names import GroupName, SkuName, UserName
from functions.web.naming import TheUserId, optional_group, optional_sku, optional_user, with_ids
from functions.web.pages.rendering import app_name
from functions.web.requests import OperationIdText, Shape, Since, Until
from functions.web.searching import Activity, AuditSearch, Moment
from shared.domain.directory import LicenseError
from shared.domain.errors import NotFound
from shared.domain.read_models import AuditFilter, MemberFilter
from shared.handlers.maintenance.hr_limits import hr_limits
from shared.handlers.operations.writing import turn_off, turn_on
from shared.handlers.views import health, license_center, queries
from shared.handlers.views.audit_proof import verify
from shared.handlers.views.first_day import open_steps
from shared.handlers.views.missing_licenses import members_with_errors

router = APIRouter(prefix="/api", tags=["center"])

Searched = Annotated[str, Field(min_length=1, max_length=license_center.MAX_SEARCH, examples=["Ada"])]


class FindUsers(Shape):
    """A name or part of it, a userPrincipalName, mail, employee ID or object ID."""

    search: Searched


class FindGroups(Shape):
    """A name or words of it, or an ID."""

    search: Searched


class FindEntries(Shape):
    """Entries of the audit log. `initiatedBy`: part of a name or ID."""

    user: UserName | None = None
    group: GroupName | None = None
    initiated_by: Annotated[str, Field(max_length=license_center.MAX_SEARCH, examples=["ada"])] = ""
    activity: Annotated[str, Field(max_length=license_center.MAX_SEARCH, examples=["Set group license"])] = ""
    since: Annotated[str, Field(max_length=40, examples=["2026-01-31"])] = ""
    until: Annotated[str, Field(max_length=40, examples=["2026-01-31"])] = ""

    def value(self) -> AuditSearch:
        wanted = AuditFilter(self.user or "", self.group or "", self.initiated_by.strip(), self.activity.strip())
        return AuditSearch(wanted, self.since.strip(), self.until.strip())


@router.get("/membersWithLicenseErrors")
async def list_all_members_with_license_errors(
    request: Request,
    world: TheWorld,
    paging: ThePaging,
    error: LicenseError | None = None,
    sku_id: Annotated[SkuName | None, Query(alias="skuId")] = None,
    group_id: Annotated[GroupName | None, Query(alias="groupId", description="Members of this group only.")] = None,
) -> Json:
    """Members of all groups in error or waiting for a license. A user of two groups is listed twice. If few of very
    many match, a page can be short or empty and still have a next one."""
    wanted = MemberFilter("", error or "", await optional_sku(world, sku_id) or "")
    group = await optional_group(world, group_id) or ""
    rows, token = await members_with_errors(world, paging.top, paging.after, wanted, group)
    names = await queries.sku_names(world)
    found = ({"groupId": row.group_id, **answers.member(row, names)} for row in rows)
    return answers.page(request, found, token)


@router.post("/groups/search")
async def find_groups(world: TheWorld, body: FindGroups) -> Json:
    """Groups of the directory by words of their name or by ID, and whether they can be managed."""
    return {"value": [answers.found_group(each) for each in await license_center.find_groups(world, body.search)]}


@router.get("/groups")
async def list_groups(request: Request, world: TheWorld, paging: ThePaging) -> Json:
    """Groups that assign licenses with their status, by name."""
    found, token = answers.part(await license_center.managed_groups(world), paging.top, paging.after)
    return answers.page(request, map(_managed, found), token)


def _managed(each: license_center.ManagedGroup) -> Json:
    return {
        "id": each.assignment.group_id,
        "displayName": each.assignment.display_name,
        "engine": each.assignment.engine,
        "assignedSkuIds": list(each.assignment.sku_ids),
        "status": each.status.state,
        "state": each.status.state.code,
        "members": each.status.shown_members,
        "counts": dict(each.status.counts),
        "products": answers.product_counts(each.status),
    }


@router.post("/users/search")
async def find_users(world: TheWorld, body: FindUsers) -> Json:
    """Users by words of their name, surname, userPrincipalName, mail, employee ID or object ID. The text is in the
    body, because addresses are logged."""
    return {"value": [answers.found_user(each) for each in await license_center.find_users(world, body.search)]}


@router.get("/users/{user_id}")
async def get_user(world: TheWorld, user_id: TheUserId) -> Json:
    """One user: every license and app with its source, the state in each group that assigns licenses, and the history
    of the last seven days. The audit log has the complete history."""
    found = await license_center.person(world, user_id)
    names = await queries.sku_names(world)
    return {
        "id": found.user.id,
        "displayName": found.user.display_name,
        "userPrincipalName": found.user.user_principal_name,
        "usageLocation": found.user.usage_location,
        "accountEnabled": found.user.account_enabled,
        "licenses": [answers.user_license(each, names) for each in found.licenses],
        "apps": [answers.user_app(each, names, app_name) for each in found.apps],
        "groups": [{"groupId": row.group_id, **answers.member(row, names)} for row in found.rows],
        "history": [audit_answers.audit_entry(entry) for entry in await license_center.history(world, found.user.id)],
    }


@router.get("/overview")
async def get_health(world: TheWorld) -> Json:
    """The state of the app: membership changes, the write quota in use, queues, open work, dead letters, protected
    people, and the limits of HR."""
    found, queue_states, limits = await asyncio.gather(
        health.health(world), health.queue_states(world), hr_limits(world)
    )
    # After health, which makes sure that a token was read.
    steps = await open_steps(world)
    return health_answers.health(found, queue_states, limits, world.policy.tenant_id, steps)


@router.get("/writing")
async def get_writing(world: TheWorld) -> Json:
    """Whether the app writes to Graph, and since when it was turned on or off."""
    return health_answers.writing(await health.writing_now(world))


@router.post("/writing/turnOn")
async def turn_writing_on(world: TheWorld, person: ThePerson) -> Json:
    """Let the app write to Graph. Open work begins with fresh reads. Only a person can do this."""
    return health_answers.writing(await turn_on(world, person))


@router.post("/writing/turnOff")
async def turn_writing_off(world: TheWorld, person: ThePerson) -> Json:
    """Stop all writes to Graph. Previews and reads go on. Only a person can do this."""
    return health_answers.writing(await turn_off(world, person))


@router.get("/audit")
async def search_audit(
    request: Request,
    world: TheWorld,
    paging: ThePaging,
    user: Annotated[UserName | None, Query(description="The user of the change.")] = None,
    group: Annotated[GroupName | None, Query(description="The group of the change.")] = None,
    initiator: Annotated[UserName | None, Query(alias="initiatedBy", description="Who acted.")] = None,
    activity: Activity = "",
    since: Moment = "",
    until: Moment = "",
) -> Json:
    """Entries that match, newest first: who, when, what, before, after, result. Without `since`, of the last 31 days.
    If few of very many entries match, a page can be short or empty and still have a next one."""
    wanted = AuditFilter(
        await optional_user(world, user, "user") or "",
        await optional_group(world, group, "group") or "",
        await optional_user(world, initiator, "initiatedBy") or "",
        activity.strip(),
    )
    search = AuditSearch(wanted, since.strip(), until.strip())
    entries, token = await search.page(world, paging.top, paging.after)
    return answers.page(request, map(audit_answers.audit_entry, entries), token)


@router.post("/audit/search")
async def find_entries(request: Request, world: TheWorld, body: FindEntries, paging: ThePaging) -> Json:
    """The same, also by a part of the name of who acted, which is not part of the address."""
    body = await with_ids(world, body)
    entries, token = await body.value().page(world, paging.top, paging.after)
    return answers.page(request, map(audit_answers.audit_entry, entries), token)


@router.get("/audit/verify")
async def verify_audit(world: TheWorld, since: Since | None = None, until: Until | None = None) -> Json:
    """Compare the entries of each hour with the log of digests: which hours verify, which entries are missing, changed
    or added. By default the last 24 hours, at most 31 days. `verified` is false if any closed hour differs, or if the
    log itself is not as it was written."""
    return audit_answers.audit_proof(await verify(world, since, until))


@router.get("/audit/{entry_id}/message")
async def get_replayed_message(world: TheWorld, entry_id: OperationIdText) -> Json:
    """The message that an entry "Replay message" is about: as it was, and as a person corrected it, if one did. It is
    kept apart from the entry, for `PAYLOAD_RETENTION`."""
    message = await world.stores.audit.message(entry_id)
    if message is None:
        raise NotFound(f"There is no message of the entry {entry_id}. Messages of replays are deleted after a time.")
    corrected = message.corrected
    return {
        "original": message.original.decode("utf-8", "replace"),
        "corrected": corrected.decode("utf-8", "replace") if corrected is not None else None,
    }
