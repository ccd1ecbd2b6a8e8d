"""The health page: queues, quota, open operations, and the number of dead letters."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from functions.web.context import TheWorld
from functions.web.pages.rendering import fragment, page
from shared.domain.clock_difference import REMEDY, described, is_wrong
from shared.handlers.maintenance.hr_limits import hr_limits
from shared.handlers.views import health

router = APIRouter(include_in_schema=False)


@router.get("/health")
async def health_page(request: Request, world: TheWorld) -> Response:
    found = await health.health(world)
    ahead, clock_problem = found.clock_ahead, ""
    if ahead is not None and is_wrong(ahead):
        clock_problem = f"The clock of this machine is {described(ahead)}. {REMEDY}"
    return page(
        request,
        "health.html",
        found=found,
        now=world.clock.now(),
        clock_problem=clock_problem,
        clock_difference="" if ahead is None else f"{round(abs(ahead).total_seconds()):,} s",
        hr_limits=await hr_limits(world),
    )


@router.get("/health/queues")
async def queues(world: TheWorld) -> Response:
    """The live part of the health page: waiting messages of the queues, and the used part of the write quota."""
    queue_states = await health.queue_states(world)
    return fragment(
        "queues.html", queue_states=queue_states, writes=await health.write_use(world), now=world.clock.now()
    )
