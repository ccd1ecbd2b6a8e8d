"""Lists that Graph answers page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from shared.adapters import graph_json
from shared.domain.errors import NotFound, Unavailable

Json = dict[str, Any]


async def pages(what: str, body: Json, follow: Callable[[str], Awaitable[Json]]) -> AsyncIterator[Sequence[Json]]:
    """The rows of a first page and of those that follow, to the last one. `follow`: reads the page of a link. Raises
    Unavailable if one is lost."""
    followed: set[str] = set()
    while True:
        yield graph_json.values(body, what)
        link = body.get("@odata.nextLink")
        if link is None:
            return
        if not isinstance(link, str) or link in followed:
            raise Unavailable(None, f"{what}: the pages do not come to an end")
        followed.add(link)
        try:
            body = await follow(link)
        except NotFound as fault:
            # Of the link, not of the collection: its first page was there.
            raise Unavailable(None, f"{what}: a page is gone, read again ({fault})") from fault
