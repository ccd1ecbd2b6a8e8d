"""The pages in a browser that is signed in, with fakes behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode

import httpx

from shared.bootstrap import SignIn
from shared.domain.directory import SubscribedSku
from shared.domain.operation import Operation
from tests.support.api_calls import claims_of, client, session
from tests.support.runs import SMALL, TEAM, Run

HOSTILE = '<script>alert("x")</script>'
SAME_SITE = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}
ADMINISTRATOR = {**session(claims_of(roles=["Licensing.ReadWrite"], tenant="tenant")), "accept": "text/html"}
READER = {**session(claims_of(roles=["Licensing.Read"], tenant="tenant")), "accept": "text/html"}


def chosen(*skus: SubscribedSku, version: int = 0, options: Mapping[str, str] | None = None) -> str:
    """The form of the assign dialog with products ticked and all their plans on."""
    fields: dict[str, object] = {"version": version, "sku": [sku.sku_id for sku in skus], **(options or {})}
    fields |= {f"plan-{sku.sku_id}": [plan.service_plan_id for plan in sku.service_plans] for sku in skus}
    return urlencode(fields, doseq=True)


async def send(page: httpx.AsyncClient, path: str, form: str = "") -> httpx.Response:
    """Send a form of our own page."""
    return await page.post(path, content=form, headers=SAME_SITE)


async def previewed(run: Run, page: httpx.AsyncClient, form: str) -> tuple[str, str]:
    """The address of a preview, ready to be confirmed, and the form that confirms it."""
    shown = (await send(page, f"/groups/{TEAM}/assign", form)).headers["location"]
    await run.work_off()
    (preview,), _ = await run.world.stores.operations.newest(1)
    return shown, urlencode({"checksum": preview.checksum, "people": preview.plan.users_losing})


def browser(run: Run, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
    """A client of the pages, signed in as an administrator unless other headers are given."""
    return client(run.world, SignIn(True, "tenant"), ADMINISTRATOR if headers is None else headers)


async def licensed() -> tuple[Run, Operation]:
    """A group of three, licensed; one of them has a hostile name."""
    run = Run()
    first, *_ = run.people(3)
    run.directory.change_user(replace(run.directory.truth(first), display_name=HOSTILE))
    operation = await run.change([SMALL])
    return run, operation
