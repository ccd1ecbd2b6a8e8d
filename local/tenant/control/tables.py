"""The part of the control API that is about the tenant's tables.

They say which plans exclude or need each other, which plans are in a product, and which products the tenant has.
Products are given as skuId or skuPartNumber, plans as servicePlanId or name. A ValueError becomes a 400 with its text.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from local.tenant import clock
from local.tenant.directory.catalog import Dependency, Pair, published
from local.tenant.generator.given_objects import sku_id_of
from local.tenant.tenant import Tenant

_APPLIES_TO = ("User", "Company")
_ROWS = ("kept", "dropped")


def tables_of(tenant: Tenant) -> dict[str, Any]:
    """The tables as Graph uses them now. `plans` has the products that the tenant has or had: plan id to name."""
    directory, settings = tenant.directory, tenant.settings
    catalog = directory.catalog
    return {
        "exclusions": sorted(sorted(pair) for pair in catalog.exclusions(settings.exclusions)),
        "dependencies": [
            {"servicePlanId": rule.dependent, "anyOf": list(rule.any_of)}
            for rule in catalog.dependencies
            if rule.documented or settings.optional_dependencies
        ],
        "plans": {
            sku_id: {plan.id: plan.name for plan in catalog.products[sku_id].plans}
            for sku_id in (*directory.subscriptions, *directory.withdrawn)
        },
        "companyPlans": sorted(
            {plan.id for product in catalog.products.values() for plan in product.plans if plan.applies_to != "User"}
        ),
        "withdrawn": list(directory.withdrawn),
    }


async def _show(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    return tables_of(tenant)


async def _change(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    """Change the tables in the order of `_CHANGES`; a fault ends it and leaves the changes before it."""
    changes = dict(body or {})
    unknown = set(changes) - set(_CHANGES)
    if unknown:
        raise ValueError(f"tables has unknown names: {', '.join(sorted(unknown))}; known are {', '.join(_CHANGES)}")
    for name, change in _CHANGES.items():
        for one in changes.get(name, ()):
            change(tenant, one)
    return tables_of(tenant)


def _exclude(tenant: Tenant, raw: Any) -> None:
    tenant.directory.catalog.exclude(_pair(raw))


def _permit(tenant: Tenant, raw: Any) -> None:
    tenant.directory.catalog.permit(_pair(raw))


def _retire(tenant: Tenant, raw: Any) -> None:
    """`rows`: whether users' disabledPlans go on naming the plan (`kept`, as nothing says otherwise) or not."""
    directory, plan = tenant.directory, _plan(raw["plan"])
    sku_id = sku_id_of(directory, raw["sku"])
    rows = raw.get("rows", "kept")
    if rows not in _ROWS:
        raise ValueError(f"rows must be one of {', '.join(_ROWS)}, not {rows!r}")
    directory.catalog.retire(sku_id, plan)
    for user in directory.users.values() if rows == "dropped" else ():
        if any(row.sku_id == sku_id and plan in row.disabled for row in user.rows):
            rest = (
                row._replace(disabled=tuple(one for one in row.disabled if one != plan))
                if row.sku_id == sku_id
                else row
                for row in user.rows
            )
            directory.set_rows(user, tuple(rest), clock.time())


def _bring_back(tenant: Tenant, raw: Any) -> None:
    directory = tenant.directory
    directory.catalog.bring_back(sku_id_of(directory, raw["sku"]), _plan(raw["plan"]))


def _withdraw(tenant: Tenant, raw: Any) -> None:
    given = raw if isinstance(raw, dict) else {"sku": raw}
    keep = bool(given.get("keepAssignments", False))
    tenant.directory.withdraw(sku_id_of(tenant.directory, given["sku"]), clock.time(), keep_assignments=keep)


def _readmit(tenant: Tenant, raw: Any) -> None:
    tenant.directory.readmit(sku_id_of(tenant.directory, raw))


def _apply_to(tenant: Tenant, raw: Any) -> None:
    """With `sku` the product itself, with `plan` the plan in every product."""
    directory, applies_to = tenant.directory, raw["appliesTo"]
    if applies_to not in _APPLIES_TO:
        raise ValueError(f"appliesTo must be one of {', '.join(_APPLIES_TO)}, not {applies_to!r}")
    if "plan" in raw:
        directory.catalog.apply_to(_plan(raw["plan"]), applies_to)
        return
    sku_id = sku_id_of(directory, raw["sku"])
    if sku_id not in directory.subscriptions:
        raise ValueError(f"SKU {sku_id} is not a product of the tenant")
    directory.subscriptions[sku_id].applies_to = applies_to


def _depend(tenant: Tenant, raw: Any) -> None:
    rule = Dependency(_plan(raw["plan"]), tuple(_plan(one) for one in raw["anyOf"]), documented=True)
    tenant.directory.catalog.depend(rule)


def _release(tenant: Tenant, raw: Any) -> None:
    catalog = tenant.directory.catalog
    catalog.dependencies = catalog.independent(_plan(raw))


_CHANGES: dict[str, Callable[[Tenant, Any], None]] = {
    "exclude": _exclude,
    "permit": _permit,
    "retire": _retire,
    "bringBack": _bring_back,
    "withdraw": _withdraw,
    "readmit": _readmit,
    "applyTo": _apply_to,
    "depend": _depend,
    "release": _release,
}


def _pair(raw: Any) -> Pair:
    pair = frozenset(_plan(one) for one in raw)
    if len(pair) != 2:
        raise ValueError(f"two different service plans exclude each other, not {raw!r}")
    return pair


def _plan(raw: Any) -> str:
    ids = published().plan_ids
    found = ids.get(str(raw)) or str(raw).lower()
    if found not in ids.values():
        raise ValueError(f"service plan {raw!r} is not in the lists of the simulated tenant")
    return found


TABLE_ACTIONS: dict[tuple[str, str], Callable[[Tenant, web.BaseRequest, Any], Awaitable[Any]]] = {
    ("GET", "tables"): _show,
    ("PATCH", "tables"): _change,
}
