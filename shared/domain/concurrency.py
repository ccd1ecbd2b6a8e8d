"""Optimistic concurrency: change something that others change too, by trying again after a lost race. And writes side
by side, of which one can fail.

The functions passed in do the I/O. This module only says in which order they run, so adapters, handlers and routes can
all use it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar, overload

from shared.domain.errors import Conflict, LicensingError

Result = TypeVar("Result")
Read = TypeVar("Read")
Changed = TypeVar("Changed")
Saved = TypeVar("Saved")


@overload
async def update(
    read: Callable[[], Awaitable[Read]],
    change: Callable[[Read], Changed],
    save: Callable[[Changed], Awaitable[Saved]],
    *,
    tries: int,
    lost: LicensingError | None = None,
) -> Saved: ...


@overload
async def update(
    read: Callable[[], Awaitable[Read]],
    change: Callable[[Read], Changed | None],
    save: Callable[[Changed], Awaitable[Saved]],
    *,
    tries: int,
    lost: LicensingError | None = None,
) -> Saved | None: ...


async def update(
    read: Callable[[], Awaitable[Read]],
    change: Callable[[Read], Changed | None],
    save: Callable[[Changed], Awaitable[Saved]],
    *,
    tries: int,
    lost: LicensingError | None = None,
) -> Saved | None:
    """What `save` returns for the changed value, or None if `change` returned None: there is nothing to do.

    A Conflict raised by `save` is a lost race: everything is read and changed again, `tries` times in all. After the
    last one `lost` is raised, or that Conflict if there is none. Whatever `read` and `change` raise ends the update.
    """
    while True:
        changed = change(await read())
        if changed is None:
            return None
        tries -= 1
        try:
            return await save(changed)
        except Conflict as conflict:
            if tries > 0:
                continue
            if lost is None:
                raise
            raise lost from conflict


async def together(calls: Iterable[Awaitable[Result]]) -> list[Result]:
    """The results of calls side by side, in order. If one fails, the others are awaited before its exception is raised:
    no write is still under way then."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    done = [each for each in found if not isinstance(each, BaseException)]
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return done
