"""Answers about the purchased and available licenses of the tenant."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from functions.web.contract.shapes.common import Answer, Count, Page, PartNumber, PlanIdText, SkuIdText, example
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


class SubscribedSkus(Page):
    value: list[SubscribedSku]


class Product(Answer):
    sku_id: SkuIdText
    sku_part_number: PartNumber
    display_name: Annotated[str, example("Microsoft 365 E3")]
    capability_status: Annotated[str, example("Enabled")]
    total: Annotated[int, Field(ge=0, description="Purchased licenses, expired ones included.", examples=[157])]
    assigned: Count
    available: Annotated[int, Field(examples=[37])]
    expired: Annotated[int, Field(ge=0, description="Expired licenses that can still be used.", examples=[0])]
    waiting: Annotated[int, Field(ge=0, description="Users of managed groups who wait for a license.", examples=[3])]
    errors: Annotated[int, Field(ge=0, description="Users of managed groups with another error.", examples=[1])]
    short_by: Annotated[int, Field(ge=0, description="Licenses to buy so that no user waits.", examples=[3])]
    groups: list[NamedGroup]


class Products(Page):
    value: list[Product]
