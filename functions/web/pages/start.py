"""The start page: what needs a person now, each with its number and a link."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from functions.web.context import TheWorld
from functions.web.pages.labels import ERROR_WORDS
from functions.web.pages.rendering import page, product_name
from shared.domain.access import Access
from shared.domain.directory import LicenseError
from shared.domain.errors import PermissionDenied, Unavailable
from shared.domain.first_day import Step
from shared.domain.ids import SkuId
from shared.domain.open_items import OpenItems
from shared.handlers.maintenance.open_items import MOST_HR_EVENTS
from shared.handlers.views import license_center, queries
from shared.handlers.views.first_day import open_steps
from shared.ports.world import World

router = APIRouter(include_in_schema=False)

SHOWN_PRODUCTS = 20
"""Products with waiting users that are listed, the longest queues first; the page of license errors has all."""


@dataclass(frozen=True, slots=True)
class Task:
    """One line: `number` items at an address. `at_least`: the count ended there."""

    text: str
    number: int
    link: str
    at_least: bool = False


@router.get("/")
async def start(request: Request, world: TheWorld) -> Response:
    """The first page that the caller can see. While only Microsoft licenses groups, it shows them with their errors."""
    access = request.scope["principal"].access
    if Access.READ not in access:
        return RedirectResponse("/users" if Access.READ_USERS in access else "/onboarding", 302)
    if await license_center.has_only_watched_groups(world):
        return RedirectResponse("/nativeGroups", 302)
    counted = await world.stores.open_items.get()
    items = counted or OpenItems()
    names = await queries.sku_names(world) if items.waiting else {}
    tasks = [(title, rows) for title, rows in _tasks(items, access, names) if rows]
    steps = await _first_day(world)
    return page(request, "start.html", tasks=tasks, is_counted=counted is not None, steps=steps)


async def _first_day(world: World) -> tuple[Step, ...]:
    """The steps of the first day; none once all were done, or while they cannot be read."""
    try:
        return await open_steps(world)
    except (Unavailable, PermissionDenied):
        return ()


def _tasks(
    items: OpenItems, access: Collection[Access], names: Mapping[SkuId, str]
) -> Iterator[tuple[str, list[Task]]]:
    yield "Decide", list(_decisions(items, access))
    longest = sorted(items.waiting.items(), key=lambda each: (-each[1], each[0]))
    yield (
        "Users who wait for a license",
        [
            Task(
                product_name(sku_id, names.get(sku_id, "")),
                number,
                _errors(product=sku_id, error=LicenseError.COUNT_VIOLATION),
            )
            for sku_id, number in longest[:SHOWN_PRODUCTS]
        ],
    )
    yield (
        "License errors by cause",
        [
            Task(ERROR_WORDS.get(error, error), number, _errors(error=error))
            for error, number in sorted(items.errors.items(), key=lambda each: (-each[1], each[0]))
        ],
    )
    if Access.READ_DEAD_LETTERS in access and items.failed_messages:
        yield "Failed messages", [Task("Messages that could not be processed", items.failed_messages, "/deadLetters")]


def _decisions(items: OpenItems, access: Collection[Access]) -> Iterator[Task]:
    if items.approvals:
        yield Task("Removals that wait for an approval", items.approvals, "/approvals")
    if items.moves:
        yield Task("Moves of groups that wait for a person", items.moves, "/approvals#moves")
    if items.hr_events and Access.READ_HR in access:
        most = items.hr_events >= MOST_HR_EVENTS
        yield Task("HR events that need a person", items.hr_events, "/onboarding?attention=true", most)
    if items.profiles:
        yield Task("Profiles that wait for an approval", items.profiles, "/onboarding/profiles")


def _errors(**fields: str) -> str:
    return f"/licenseErrors?{urlencode(fields)}"
