"""Ids, counts and times as answers show them, the shape of an error, and what every other shape is made of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.domain.initiator import InitiatorKind

GROUP = "0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e3f"
USER = "1d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e"
E3 = "05e9a617-0261-4cee-bb44-138d3ef5d965"
TEAMS = "57ff2da0-773e-42df-b2af-ffb7a2317929"
OPERATION = "0199d0f31c2a4b6d8e0f123456789abc"
CLIENT = "7f3c1a52-0b9e-4b8d-8a43-5d2e1f6c7b80"
HERE = "https://licensing.contoso.example"


def example(text: str) -> Any:
    return Field(examples=[text])


GroupIdText = Annotated[str, example(GROUP)]
UserIdText = Annotated[str, example(USER)]
SkuIdText = Annotated[str, example(E3)]
PlanIdText = Annotated[str, example(TEAMS)]
OperationIdText = Annotated[str, example(OPERATION)]
PartNumber = Annotated[str, example("SPE_E3")]
Time = Annotated[datetime, example("2026-11-23T08:15:30Z")]
Duration = Annotated[str, example("P30D")]
Person = Annotated[str, example("ada@contoso.example")]
Count = Annotated[int, Field(ge=0, examples=[120])]


class Answer(BaseModel):
    """A JSON object of an answer; it has these properties and no other."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Page(Answer):
    """A page of a collection. The link leads to the next one; the last page has none."""

    next_link: Annotated[
        str, Field(alias="@odata.nextLink", examples=[f"{HERE}/api/operations?$top=100&$skiptoken=100"])
    ] = ""


class InnerError(Answer):
    request_id: Annotated[str, Field(alias="request-id", examples=["6f0e2a51-7a54-4b43-9a9f-0b7a2f6f3c11"])]
    date: Time


class Fault(Answer):
    """One fault of a request. Faults of HR events have the position of the event in the batch and the wrong value."""

    code: Annotated[str, example("InvalidEvent")]
    target: Annotated[str, Field(description="The field or parameter that is wrong.", examples=["data.effectiveDate"])]
    message: Annotated[str, example("data.effectiveDate must be a date or a time as in ISO 8601.")]
    position: Annotated[int, Field(ge=0, examples=[0])] | None = None
    value: Annotated[str, Field(description="JSON of the wrong value.", examples=['"tomorrow"'])] | None = None


class ErrorDetail(Answer):
    code: Annotated[str, example("InvalidRequest")]
    message: Annotated[str, example("addLicenses.0.skuId: must be a GUID, not 'E3'")]
    target: Annotated[str, Field(description="The field or parameter that is wrong.", examples=["skuId"])] = ""
    details: list[Fault] = []
    inner_error: InnerError


class Error(Answer):
    """Every error has this shape, Graph's."""

    error: ErrorDetail


class Initiator(Answer):
    """Who caused something, by the token of the call."""

    kind: InitiatorKind
    id: Annotated[str, Field(description="Object ID in the token; null if there was no token.", examples=[USER])] | None
    app_id: Annotated[str, Field(description="Client application in the token.", examples=[CLIENT])] | None
    display_name: Person
    channel: Annotated[str, Field(description="page, api, a queue, or the trigger.", examples=["api"])]


ClaimedBy = Annotated[
    str, Field(description="The identity that the message claims, without a check.", examples=["hr-import"])
]


class License(Answer):
    sku_id: SkuIdText
    disabled_plans: list[PlanIdText]
