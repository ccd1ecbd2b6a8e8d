"""Templates to answers: every value escaped, a strict Content-Security-Policy, small filters in the center's words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from functions.web.pages import labels
from functions.web.parameters import DONE
from shared.domain.access import READS
from shared.domain.directory import ServicePlan
from shared.domain.ids import SkuId
from shared.domain.open_items import OpenItems
from shared.ports.directory import MOST_FOUND

HERE = Path(__file__).parent.parent

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""No inline script or style, nothing from elsewhere (developer.mozilla.org/docs/Web/HTTP/Guides/CSP)."""

HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY"}


@lru_cache(maxsize=1)
def _published() -> Mapping[str, Mapping[str, str]]:
    found: dict[str, dict[str, str]] = json.loads((HERE / "product-names.json").read_text("utf-8"))
    return found


def product_names() -> Mapping[str, str]:
    """Friendly names by SKU id."""
    return _published()["products"]


def app_name(plan_id: str, plan_name: str = "") -> str:
    """The friendly name of a service plan, else Graph's name, else the id."""
    return _published()["plans"].get(plan_id, "") or plan_name or plan_id


def code(name: str) -> Markup:
    """A name such as TEAMS_EXPLORATORY, which a narrow column breaks after an underscore."""
    return Markup("_<wbr>").join(escape(part) for part in name.split("_"))


def ticks(text: str) -> Markup:
    """A text whose code is between backticks."""
    parts = (
        Markup("<code>{}</code>").format(part) if n % 2 else escape(part) for n, part in enumerate(text.split("`"))
    )
    return Markup("").join(parts)


def app_names(plan_ids: Iterable[str], known: Mapping[str, str]) -> list[str]:
    """The friendly names of service plans, sorted; `known`: Graph's names."""
    return sorted(app_name(plan_id, known.get(plan_id, "")) for plan_id in plan_ids)


def by_app(plans: Iterable[ServicePlan]) -> list[ServicePlan]:
    """Service plans in the order of their friendly names."""
    return sorted(plans, key=lambda plan: app_name(plan.service_plan_id, plan.service_plan_name).casefold())


def product_name(sku_id: SkuId | str, part_number: str = "") -> str:
    """The friendly name, else Graph's part number, else the id."""
    return product_names().get(sku_id, "") or part_number or sku_id


def when(at: datetime | None) -> str:
    """A time in UTC, for downloads and for browsers without scripts; the page's script shows it as local time."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if at else ""


def count(number: int) -> str:
    return f"{number:,}"


def bdi(name: object) -> Markup:
    """A name, kept apart from the text around it: its letters can run from right to left."""
    return Markup("<bdi>{}</bdi>").format(escape(str(name)))


@lru_cache(maxsize=1)
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(when=when, count=count, bdi=bdi, code=code, ticks=ticks, query=urlencode)
    found.filters.update(product=product_name, app=app_name, apps=app_names, by_app=by_app)
    found.filters.update(tone=labels.tone, word=labels.word, who=labels.who)
    found.filters.update(person=labels.person, found_by=labels.found_by)
    found.globals.update(
        {name: getattr(labels, name) for name in vars(labels) if name.endswith("_WORDS") and name[0] != "_"},
        MOST_FOUND=MOST_FOUND,
        changes=labels.changes,
        notes=labels.notes,
        predicted=labels.predicted,
        member_notes=labels.member_notes,
        left=labels.left,
        span=labels.span,
    )
    return found


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """A page for the caller of a request."""
    principal = request.scope["principal"]
    text = (
        _environment()
        .get_template(template)
        .render(
            path=request.url.path,
            caller=principal.initiator,
            may={access.name.lower() for access in principal.access},
            read_only=principal.access <= READS,
            writing=request.scope.get("writing"),
            items=request.scope.get("items") or OpenItems(),
            done=labels.DONE_WORDS.get(request.query_params.get(DONE, ""), ""),
            **values,
        )
    )
    return Response(text, status, HEADERS, "text/html; charset=utf-8")


def fragment(template: str, **values: Any) -> Response:
    """A part of a page, for what polls."""
    return Response(_environment().get_template(template).render(**values), 200, HEADERS, "text/html; charset=utf-8")


def see(path: str, done: str = "") -> RedirectResponse:
    """After a POST: the browser loads that page (303), so that a reload does not send the form again. `done`: what the
    page confirms, a key of DONE_WORDS."""
    return RedirectResponse(f"{path}?done={done}" if done else path, 303)
