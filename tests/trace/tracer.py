"""Records which modules of a package a piece of work passes through, and how often it comes back to one.

Definitions:

- A *step* is a call from one module into another: the body of a function starts to run, and the nearest caller that is
  in scope belongs to a different module. Calls within a module are not steps. Neither is the return to the caller.
- The *path* is the sequence of the modules stepped into. Several steps in a row into one module count once.
- A *return* is a step into a module that is already on the path.

A module that calls five others in turn therefore makes a path of six without a return. A module that calls a second
one, then a third, then the second again has one return.

Resuming a coroutine or a generator is not a call, and neither is creating one: it counts when its body first runs.
Generator expressions, comprehensions, module bodies, and methods written by `dataclass` are not counted. A coroutine
that runs as a task is called by the code that created the task.
"""

from __future__ import annotations

import asyncio
import dis
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from types import CodeType, FrameType
from typing import Any, Self

RESUME = dis.opmap["RESUME"]
AT_START = 0
"""The low two bits of RESUME's argument at the start of a function: docs.python.org/3/library/dis.html#opcode-RESUME"""


@dataclass(frozen=True, slots=True)
class Step:
    """A call from one module into another; `caller` is empty for the first."""

    caller: str
    module: str
    function: str


@dataclass(frozen=True, slots=True)
class Trace:
    """The steps of one piece of work, in the order in which they were made."""

    steps: tuple[Step, ...]

    @property
    def path(self) -> list[str]:
        """The modules in order, with several steps in a row into the same one counted once."""
        path: list[str] = []
        for step in self.steps:
            if path[-1:] != [step.module]:
                path.append(step.module)
        return path

    @property
    def modules(self) -> list[str]:
        """Each module once, in order of first entry."""
        return list(dict.fromkeys(self.path))

    @property
    def returns(self) -> int:
        """How many steps of the path go into a module that was entered before."""
        return len(self.path) - len(self.modules)


class Tracer:
    """Collects calls between modules while it is entered, in an async function or a plain one.

    `in_scope` decides by a module's name whether the module counts; every other module is looked through.
    """

    def __init__(self, in_scope: Callable[[str], bool]) -> None:
        self._in_scope = cache(in_scope)
        self._steps: list[Step] = []
        self._creators: dict[FrameType, str] = {}
        """The module that made a task, by the frame of the task's coroutine."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._before: tuple[Any, Any] = (None, None)
        """The profile function and the task factory to put back."""

    @property
    def trace(self) -> Trace:
        return Trace(tuple(self._steps))

    def __enter__(self) -> Self:
        with suppress(RuntimeError):  # outside a loop there are no tasks to follow
            self._loop = asyncio.get_running_loop()
        self._before = (sys.getprofile(), self._loop.get_task_factory() if self._loop else None)
        if self._loop:
            self._loop.set_task_factory(self._task)
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        profile, factory = self._before
        sys.setprofile(profile)
        if self._loop:
            self._loop.set_task_factory(factory)
        self._creators.clear()

    def _task(
        self,
        loop: asyncio.AbstractEventLoop,
        work: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        **options: Any,
    ) -> asyncio.Task[Any]:
        frame = getattr(work, "cr_frame", None)
        if frame is not None:
            self._creators[frame] = self._caller(sys._getframe(1))
        return asyncio.Task(work, loop=loop, **options)

    def _profile(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or not starts(frame):
            return
        module = frame.f_globals.get("__name__", "")
        if not self._in_scope(module) or not is_written(frame.f_code):
            return
        caller = self._caller(frame.f_back) or self._creators.get(frame, "")
        if caller != module:
            self._steps.append(Step(caller, module, frame.f_code.co_qualname))

    def _caller(self, frame: FrameType | None) -> str:
        """The module in scope that runs this frame or called it; empty if none did."""
        while frame is not None:
            module: str = frame.f_globals.get("__name__", "")
            if self._in_scope(module):
                return module
            if frame in self._creators:
                return self._creators[frame]
            frame = frame.f_back
        return ""


def starts(frame: FrameType) -> bool:
    """Whether the frame begins to run, as opposed to going on after a yield or an await."""
    return frame.f_lasti in _starts(frame.f_code)


@cache
def _starts(code: CodeType) -> frozenset[int]:
    raw = code.co_code
    return frozenset(at for at in range(0, len(raw), 2) if raw[at] == RESUME and raw[at + 1] & 3 == AT_START)


def is_written(code: CodeType) -> bool:
    """Whether the code is a function that stands in a file: not generated, not an expression, not a module body."""
    if code.co_filename.startswith("<"):
        return False
    return code.co_name == "<lambda>" or not code.co_name.startswith("<")
