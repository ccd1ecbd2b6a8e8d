"""The errors that a preview predicts: filtered, sorted, and with the names of the users shown."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from shared.domain.directory import FoundUser, LicenseError
from shared.domain.errors import BadRequest, PermissionDenied, Unavailable
from shared.domain.ids import OperationId, SkuId, UserId
from shared.domain.operation import Operation
from shared.domain.predicted_errors import Certainty, PredictedError
from shared.domain.snapshot_pages import PAGE_SIZE, errors_of
from shared.handlers.views import queries
from shared.handlers.views.needs import Needs

PAGES_AT_ONCE = 10

MAX_NAMED = 1000
"""Users who are sorted by name; more are sorted by ID, since the name of each is a read of the directory."""


class Sort(StrEnum):
    """The order of the list."""

    ERROR = "error"
    PRODUCT = "product"
    USER = "user"


@dataclass(frozen=True, slots=True)
class ErrorFilter:
    """Which predicted errors are shown, and in which order. `because`: a product that is the cause."""

    error: LicenseError | None = None
    sku_id: SkuId | None = None
    because: SkuId | None = None
    certainty: Certainty | None = None
    sort: Sort = Sort.ERROR

    def passes(self, found: PredictedError) -> bool:
        problem = found.problem
        return (
            self.error in (None, problem.error)
            and self.sku_id in (None, problem.sku_id)
            and (self.because is None or self.because in found.because)
            and self.certainty in (None, found.certainty)
        )


@dataclass(frozen=True, slots=True)
class UserError:
    """A predicted error of one user."""

    user_id: UserId
    error: PredictedError


async def predicted_errors(world: Needs, operation_id: OperationId, wanted: ErrorFilter) -> tuple[UserError, ...]:
    """All predicted errors of a preview that pass, sorted. Raises NotFound, BadRequest for another operation."""
    found = await queries.operation(world, operation_id)
    if not found.preview:
        raise BadRequest("NotAPreview", "Only a preview predicts errors. See membersWithLicenseErrors of the group.")
    rows = [row for row in await _rows(world, found) if wanted.passes(row.error)]
    names = await queries.sku_names(world)
    people: Mapping[UserId, FoundUser] = {}
    if wanted.sort is Sort.USER and len({row.user_id for row in rows}) <= MAX_NAMED:
        people = await named(world, rows)

    def key(row: UserError) -> tuple[str, ...]:
        problem = row.error.problem
        product = names.get(problem.sku_id, problem.sku_id) if problem.sku_id else ""
        person = people.get(row.user_id)
        name = person.display_name.casefold() if person else ""
        match wanted.sort:
            case Sort.ERROR:
                return (problem.error, product, row.user_id)
            case Sort.PRODUCT:
                return (product, problem.error, row.user_id)
            case Sort.USER:
                return (name, row.user_id, problem.error, product)

    return tuple(sorted(rows, key=key))


async def _rows(world: Needs, found: Operation) -> list[UserError]:
    pages = ceil((found.plan.users_failing + found.plan.users_waiting) / PAGE_SIZE)
    rows: list[UserError] = []
    for start in range(0, pages, PAGES_AT_ONCE):
        numbers = range(start, min(pages, start + PAGES_AT_ONCE))
        snapshot_id = errors_of(found.snapshot_id)
        for page in await asyncio.gather(
            *(world.stores.snapshots.page(found.id, snapshot_id, number) for number in numbers)
        ):
            rows += [
                UserError(user_id, error)
                for position, user_id in enumerate(page.user_ids)
                for error in page.action(position).errors
            ]
    return rows


async def named(world: Needs, rows: Sequence[UserError]) -> Mapping[UserId, FoundUser]:
    """The users of these rows."""
    return await people_named(world, [row.user_id for row in rows])


async def people_named(world: Needs, user_ids: Iterable[UserId]) -> Mapping[UserId, FoundUser]:
    """The users as the directory shows them; none while it cannot be read, since the IDs are still right."""
    wanted = sorted(set(user_ids))
    try:
        return await world.directory.users_found(wanted) if wanted else {}
    except (Unavailable, PermissionDenied):
        return {}
