"""Calls of the onboarding API and pages."""

from __future__ import annotations

from typing import Any

from tests.support.api_calls import ON, client
from tests.support.hires import Hires


async def call(run: Hires, method: str, path: str, who: dict[str, str], **options: Any) -> Any:
    """One call with the headers of a person or a program."""
    async with client(run.world, ON, who) as api:
        return await api.request(method, path, **options)
