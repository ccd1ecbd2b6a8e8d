"""The apps (service plans) of one user: on or off, by which license; and the plans that an error names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.directory import ServicePlan, SubscribedSku
from shared.domain.ids import NO_PLANS, Plans, ServicePlanId, SkuId
from shared.domain.outcomes import Problem
from shared.handlers.views.queries import UserLicense


@dataclass(frozen=True, slots=True)
class App:
    """A service plan of the user's products. It is on if any license has it on."""

    plan: ServicePlan
    on: tuple[UserLicense, ...]
    off: tuple[UserLicense, ...]


@dataclass(frozen=True, slots=True)
class NamedPlan:
    """A service plan that an error names, and the licenses that have or would have it on.

    `wanted`: the product with the error.
    """

    plan: ServicePlan
    licenses: tuple[UserLicense, ...]
    wanted: SkuId | None


def apps_of(licenses: Sequence[UserLicense], skus: Collection[SubscribedSku]) -> tuple[App, ...]:
    """Apps of the licenses that count, by name. A product that the tenant no longer has shows no apps."""
    products = {sku.sku_id: sku for sku in skus}
    plans: dict[ServicePlanId, ServicePlan] = {}
    on: dict[ServicePlanId, list[UserLicense]] = {}
    off: dict[ServicePlanId, list[UserLicense]] = {}
    for license in licenses:
        product = products.get(license.state.sku_id)
        for plan in product.service_plans if product and license.state.state.counts else ():
            if plan.applies_to != "User":
                continue
            plans[plan.service_plan_id] = plan
            where = off if plan.service_plan_id in license.state.disabled_plans else on
            where.setdefault(plan.service_plan_id, []).append(license)
    shown = (App(plan, tuple(on.get(key, ())), tuple(off.get(key, ()))) for key, plan in plans.items())
    return tuple(sorted(shown, key=lambda app: app.plan.service_plan_name))


def plans_named(
    problem: Problem,
    licenses: Sequence[UserLicense],
    skus: Collection[SubscribedSku],
    rejected: Mapping[SkuId, Plans],
) -> tuple[NamedPlan, ...]:
    """The plans that a problem names, by the recorded rejection or its text. `rejected`: plans of rejections."""
    known = {plan.service_plan_id: plan for sku in skus for plan in sku.service_plans}
    recorded = rejected.get(problem.sku_id, NO_PLANS) if problem.sku_id else NO_PLANS
    words = {word.lower() for word in re.findall(r"[\w-]+", problem.text)}
    named = [
        plan
        for key, plan in known.items()
        if key in recorded or key in words or plan.service_plan_name.lower() in words
    ]
    contents = {sku.sku_id: sku.plan_ids for sku in skus}
    found = []
    for plan in sorted(named, key=lambda plan: plan.service_plan_name):
        key = plan.service_plan_id
        having = tuple(
            each for each in licenses if _has_on(each, key, contents) and each.state.sku_id != problem.sku_id
        )
        wanted = problem.sku_id if problem.sku_id and key in contents.get(problem.sku_id, ()) else None
        found.append(NamedPlan(plan, having, wanted))
    return tuple(found)


def _has_on(license: UserLicense, plan_id: ServicePlanId, contents: Mapping[SkuId, Plans]) -> bool:
    state = license.state
    return state.state.counts and plan_id in contents.get(state.sku_id, ()) and plan_id not in state.disabled_plans
