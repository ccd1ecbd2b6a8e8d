"""Answers about the purchased and available licenses of the tenant."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from functions.web.contract.shapes.common import Answer, Count, PartNumber, PlanIdText, SkuIdText, example
from functions.web.contract.shapes.groups import NamedGroup


class PrepaidUnits(Answer):
    enabled: Count
    warning: Count
    suspended: Count
    locked_out: Count


class ServicePlan(Answer):
    service_plan_id: PlanIdText
    service_plan_name: Annotated[str, example("TEAMS1")]
    applies_to: Annotated[str, example("User")]
    provisioning_status: Annotated[str, example("Success")]


class SubscribedSku(Answer):
    sku_id: SkuIdText
    sku_part_number: PartNumber
    applies_to: Annotated[str, example("User")]
    capability_status: Annotated[str, example("Enabled")]
    consumed_units: Count
    prepaid_units: PrepaidUnits
    available_units: Annotated[int, Field(examples=[37])]
    service_plans: list[ServicePlan]


class SubscribedSkus(Answer):
    value: list[SubscribedSku]


class Product(Answer):
    sku_id: SkuIdText
    sku_part_number: PartNumber
    display_name: Annotated[str, example("Microsoft 365 E3")]
    capability_status: Annotated[str, example("Enabled")]
    bought: Count
    used: Count
    free: Annotated[int, Field(examples=[37])]
    in_grace: Count
    groups: list[NamedGroup]


class Products(Answer):
    value: list[Product]
