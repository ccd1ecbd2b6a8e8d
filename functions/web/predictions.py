"""Predicted errors as parameters ask for them and as answers and downloads show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Query
from pydantic import BeforeValidator

from functions.web.context import TheWorld
from functions.web.names import SkuName
from functions.web.naming import optional_sku
from functions.web.searching import OfError
from shared.domain.directory import FoundUser
from shared.domain.ids import SkuId, UserId
from shared.domain.predicted_errors import Certainty, PredictedError
from shared.handlers.views.predicted_errors import ErrorFilter, Sort, UserError

Json = dict[str, Any]
Names = Mapping[SkuId, str]

COLUMNS = (
    "id",
    "displayName",
    "userPrincipalName",
    "error",
    "certainty",
    "skuId",
    "product",
    "causedBy",
    "message",
    "remedy",
)

_or_none = BeforeValidator(lambda text: text or None)
OfSku = Annotated[SkuName | None, _or_none, Query(alias="skuId", description="Errors of this product only.")]
OfCause = Annotated[
    SkuName | None, _or_none, Query(alias="causedBy", description="Errors because of a license of this product only.")
]
OfCertainty = Annotated[Certainty | None, _or_none, Query()]
SortedBy = Annotated[Sort, Query(description="With `user`, by name up to 1,000 users, and by ID above that.")]


async def _filter(
    world: TheWorld,
    error: OfError = None,
    sku: OfSku = None,
    cause: OfCause = None,
    certainty: OfCertainty = None,
    sort: SortedBy = Sort.ERROR,
) -> ErrorFilter:
    of, because = await optional_sku(world, sku), await optional_sku(world, cause, "causedBy")
    return ErrorFilter(error, of, because, certainty, sort)


TheErrorFilter = Annotated[ErrorFilter, Depends(_filter)]


def parameters(wanted: ErrorFilter) -> dict[str, str]:
    """The filter as query parameters."""
    named = {
        "error": wanted.error,
        "skuId": wanted.sku_id,
        "causedBy": wanted.because,
        "certainty": wanted.certainty,
        "sort": wanted.sort if wanted.sort is not Sort.ERROR else None,
    }
    return {name: str(value) for name, value in named.items() if value}


def query(wanted: ErrorFilter) -> str:
    return urlencode(parameters(wanted))


def shown(error: PredictedError, names: Names) -> Json:
    """A predicted error with its product, cause and remedy."""
    problem = error.problem
    return {
        "error": problem.error,
        "skuId": problem.sku_id,
        "skuPartNumber": names.get(problem.sku_id) if problem.sku_id else None,
        "certainty": error.certainty,
        "message": problem.text,
        "remedy": problem.remedy,
        "causedBySkus": [{"skuId": sku_id, "skuPartNumber": names.get(sku_id)} for sku_id in error.because],
    }


def user_error(row: UserError, people: Mapping[UserId, FoundUser], names: Names) -> Json:
    """One row of the list."""
    person = people.get(row.user_id)
    return {
        "id": row.user_id,
        "displayName": person.display_name if person else None,
        "userPrincipalName": person.user_principal_name if person else None,
        **shown(row.error, names),
    }


def cells(row: UserError, people: Mapping[UserId, FoundUser], names: Names) -> tuple[object, ...]:
    """One row of the download, by COLUMNS."""
    person, problem = people.get(row.user_id), row.error.problem
    return (
        row.user_id,
        person.display_name if person else "",
        person.user_principal_name if person else "",
        problem.error,
        row.error.certainty,
        problem.sku_id or "",
        names.get(problem.sku_id, "") if problem.sku_id else "",
        ", ".join(names.get(sku_id, sku_id) for sku_id in row.error.because),
        problem.text,
        problem.remedy,
    )
