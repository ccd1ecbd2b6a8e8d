"""The style, script and icon of the page."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from functions.web.errors import HttpError
from functions.web.pages.rendering import HEADERS, HERE

router = APIRouter(include_in_schema=False)

STATIC = {
    "site.css": "text/css; charset=utf-8",
    "site.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""The files that are served; any other name is not found."""


@router.get("/static/{name}")
async def static(name: str) -> Response:
    """Style and script of the page; they hold no data."""
    if name not in STATIC:
        raise HttpError(404, "NotFound", "There is no such file.")
    body = (HERE / "static" / name).read_bytes()
    return Response(body, 200, {**HEADERS, "Cache-Control": "public, max-age=3600"}, STATIC[name])
