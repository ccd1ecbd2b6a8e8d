"""Unmanaged licenses of a group's members or of one user: manage them, or turn on missing apps in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from starlette.responses import Response

from functions.web.pages.forms import Form, guid_of
from functions.web.pages.rendering import see
from functions.web.starting import Starter
from shared.domain.ids import SkuId
from shared.domain.operation import LicenseChange, Target
from shared.handlers.operations.accept import accept
from shared.ports.world import World

Takeover = Literal["adopt", "enable"]
"""Manage the licenses from here on, or turn on plans in them that the group grants."""


async def preview_takeover(world: World, starter: Starter, target: Target, takeover: Takeover, form: Form) -> Response:
    """Ask for a preview of it, and lead there."""
    skus = (SkuId(guid_of(form.one("sku"), "sku")),)
    change = LicenseChange(manage=skus) if takeover == "adopt" else LicenseChange(enable=skus)
    operation = await accept(world, replace(starter.request(target), change=change, preview=True))
    return see(f"/operations/{operation.id}")
