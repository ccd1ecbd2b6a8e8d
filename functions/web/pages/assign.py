"""The assign dialog: products and apps of one group are chosen, checked while they are chosen, and previewed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from functions.web.context import TheWorld
from functions.web.errors import HttpError, answer_to
from functions.web.pages.error_pages import changed_meanwhile
from functions.web.pages.forms import Form, TheForm, guid_of
from functions.web.pages.group_options import ShownOptions, options_of
from functions.web.pages.rendering import app_name, fragment, page, product_name, see
from functions.web.requests import Guid
from functions.web.starting import TheStarter
from shared.domain.access import Access
from shared.domain.assignment import AssignmentOptions, Engine, GroupLicenseAssignment
from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, SubscribedSku
from shared.domain.errors import AssignmentError, BadRequest, Conflict
from shared.domain.group_request import GroupRequest
from shared.domain.ids import GroupId, OperationId, ServicePlanId, SkuId
from shared.domain.operation import LicenseChange, Target
from shared.handlers.operations.accept import accept
from shared.handlers.reconcile.read import read_catalog
from shared.handlers.views import license_center, queries
from shared.ports.world import World

router = APIRouter(include_in_schema=False)

Ticked = Mapping[SkuId, frozenset[ServicePlanId]]
"""The chosen products, each with the apps that are off."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The choice that the dialog shows. `fault`: why the form that was sent cannot be previewed, empty if it can be."""

    ticked: Ticked
    options: ShownOptions
    fault: str = ""
    status: int = 200


@router.get("/groups/{group_id}/assign")
async def choose(
    request: Request,
    world: TheWorld,
    group_id: Guid,
    sku: Annotated[str, Query(max_length=36)] = "",
    preview: Annotated[str, Query(max_length=32)] = "",
) -> Response:
    """The dialog. `sku`: the product that is ticked already. `preview`: the operation whose choice is shown again."""
    assignment, _ = await _shown(world, GroupId(group_id))
    ticked = dict(_assigned(assignment))
    if sku:
        ticked.setdefault(SkuId(sku.lower()), frozenset())
    options = assignment.options
    if preview:
        change = (await queries.operation(world, OperationId(preview))).change
        ticked |= {license.sku_id: license.disabled_plans for license in change.add}
        ticked = {sku_id: off for sku_id, off in ticked.items() if sku_id not in change.remove}
        options = change.options or options
    return await _dialog(request, world, GroupId(group_id), Choice(ticked, ShownOptions.of(options)))


async def _dialog(request: Request, world: World, group_id: GroupId, choice: Choice) -> Response:
    group = await world.directory.group(group_id)
    stored = await world.stores.assignments.get(group.id)
    is_managed = stored is not None and stored.assignment.engine is Engine.NATIVE
    return page(
        request,
        "assign.html",
        status=choice.status,
        group=group,
        hindrance=license_center.hindrance(group),
        products=[view.sku for view in await license_center.products(world)],
        assignment=stored.assignment if stored else None,
        native=set() if is_managed else {license.sku_id for license in group.native_skus},
        ticked=choice.ticked,
        options=choice.options,
        fault=choice.fault,
        excluded={},
    )


@router.post("/groups/{group_id}/assign")
async def preview(request: Request, world: TheWorld, starter: TheStarter, group_id: Guid, form: TheForm) -> Response:
    """Preview what was chosen: nothing is written before it is confirmed. A form with a fault is shown again, with
    everything that was entered."""
    if form.has("with_options"):
        starter.require(Access.CONFIGURE)
    assignment, catalog = await _shown(world, GroupId(group_id))
    try:
        asked = replace(
            starter.request(Target(group_id=GroupId(group_id))),
            change=chosen(assignment, catalog, form),
            options=options_of(form) if form.has("with_options") else None,
            preview=True,
            if_match=assignment.version,
        )
        operation = await accept(world, asked)
    except (HttpError, BadRequest, AssignmentError, Conflict) as wrong:
        fault = changed_meanwhile() if isinstance(wrong, Conflict) else answer_to(wrong)
        ticked = _ticked(form, catalog)
        if fault.code == changed_meanwhile().code:
            ticked = {**_assigned((await _shown(world, GroupId(group_id)))[0]), **ticked}
        options = ShownOptions.sent(form) if form.has("with_options") else ShownOptions.of(AssignmentOptions())
        return await _dialog(request, world, GroupId(group_id), Choice(ticked, options, fault.message, fault.status))
    return see(f"/operations/{operation.id}")


@router.post("/groups/{group_id}/assign/check")
async def check(world: TheWorld, group_id: Guid, form: TheForm) -> Response:
    """Faults of a choice, the warnings that its preview will show, and its summary, while it is being made."""
    assignment, catalog = await _shown(world, GroupId(group_id))
    fault, found, summary = "", tuple[str, ...](), tuple[str, ...]()
    try:
        change = chosen(assignment, catalog, form)
        summary = summary_of(change, catalog)
        options = options_of(form).applied_to(AssignmentOptions()) if form.has("with_options") else None
        group = await world.directory.group(GroupId(group_id))
        asked = GroupRequest(assignment, None, group, catalog)
        found = asked.warnings(change)
        asked.check(replace(change, options=options))
    except (BadRequest, AssignmentError) as wrong:
        fault = str(wrong)
    except HttpError as wrong:
        fault = "" if wrong.code == "NothingToChange" else wrong.message
    return fragment("warnings.html", fault=fault, warnings=found, summary=summary)


async def _shown(world: World, group_id: GroupId) -> tuple[GroupLicenseAssignment, Catalog]:
    stored = await world.stores.assignments.get(group_id)
    assignment = stored.assignment if stored else GroupLicenseAssignment(group_id)
    return assignment, await read_catalog(world)


def _assigned(assignment: GroupLicenseAssignment) -> Ticked:
    """The products of the group; of a watched one none, because they are not assigned here."""
    managed = assignment.native if assignment.engine is Engine.NATIVE else assignment.skus
    return {sku.sku_id: sku.disabled_plans for sku in managed}


def _ticked(form: Form, catalog: Catalog) -> Ticked:
    """The products that a form has ticked, without those that the tenant does not have."""
    wanted = {SkuId(text.lower()) for text in form.all("sku")}
    return {
        sku_id: frozenset(plan for plan in _plans(catalog.skus[sku_id]) if plan not in form.all(f"plan-{sku_id}"))
        for sku_id in wanted
        if sku_id in catalog.skus
    }


def _plans(sku: SubscribedSku) -> frozenset[ServicePlanId]:
    """The plans that the dialog shows."""
    return frozenset(plan.service_plan_id for plan in sku.service_plans if plan.applies_to == "User")


def chosen(assignment: GroupLicenseAssignment, catalog: Catalog, form: Form) -> LicenseChange:
    """The change a form asks for: ticked products with the plans that are not ticked off, and those no longer ticked.

    Raises HttpError if nothing would change, or if the assignment is not the one that the form showed. Otherwise a
    product that another person added meanwhile would count as unticked.
    """
    if form.one("version") != str(assignment.version):
        raise changed_meanwhile()
    now = _assigned(assignment)
    wanted: dict[SkuId, frozenset[ServicePlanId]] = {}
    for text in form.all("sku"):
        sku_id = SkuId(guid_of(text, "sku"))
        if sku_id not in catalog.skus:
            raise HttpError(400, "InvalidRequest", f"The tenant has no product {sku_id}.", "sku")
        on = {ServicePlanId(guid_of(plan, "plan")) for plan in form.all(f"plan-{sku_id}")}
        shown = _plans(catalog.skus[sku_id])
        # A plan that the form does not show, such as one that left the product, stays as it is.
        wanted[sku_id] = (shown - on) | (now.get(sku_id, frozenset()) - shown)
    add = tuple(AssignedLicense(sku, off) for sku, off in wanted.items() if sku not in now or now[sku] != off)
    remove = tuple(sorted(now.keys() - wanted.keys()))
    if not add and not remove:
        raise HttpError(400, "NothingToChange", "Nothing was changed: tick a product, or change its apps.")
    return LicenseChange(add, remove)


def summary_of(change: LicenseChange, catalog: Catalog) -> tuple[str, ...]:
    """The change in sentences, with the names of the apps that are off."""
    return (
        *(f"Assign {_product(each.sku_id, catalog)}{_without(each, catalog)}." for each in change.add),
        *(f"Remove {_product(sku_id, catalog)}." for sku_id in change.remove),
    )


def _product(sku_id: SkuId, catalog: Catalog) -> str:
    return product_name(sku_id, catalog.name(sku_id))


def _without(license: AssignedLicense, catalog: Catalog) -> str:
    names = sorted(app_name(plan, catalog.plan_name(plan)) for plan in license.disabled_plans)
    return f" without {', '.join(names)}" if names else " with all apps"
