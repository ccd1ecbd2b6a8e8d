"""The page of the first day: what is ready, and the switch that lets the app write to Graph."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from functions.web.context import ThePerson, TheWorld
from functions.web.pages.rendering import page, see
from shared.handlers.operations.writing import turn_off, turn_on
from shared.handlers.views.first_day import first_day_steps

router = APIRouter(include_in_schema=False)


@router.get("/firstDay")
async def first_day(request: Request, world: TheWorld) -> Response:
    return page(request, "first_day.html", steps=await first_day_steps(world))


@router.post("/firstDay/turnOn")
async def turn_writing_on(world: TheWorld, person: ThePerson) -> Response:
    """Let the app write to Graph."""
    await turn_on(world, person)
    return see("/firstDay", "writingOn")


@router.post("/firstDay/turnOff")
async def turn_writing_off(world: TheWorld, person: ThePerson) -> Response:
    """Stop all writes to Graph."""
    await turn_off(world, person)
    return see("/firstDay", "writingOff")
