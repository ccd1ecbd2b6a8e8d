"""The API's description (OpenAPI 3.1): FastAPI's of the requests, and here the answers, roles, links and examples.

An example of every request and answer is made from the examples of its fields, so none is written twice; tests hold
each to its schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from functions.web.contract.error_examples import examples
from functions.web.contract.responses import ANSWERS, LINKS, REJECTIONS
from functions.web.contract.shapes.common import E3, GROUP, HERE, OPERATION, TEAMS, USER, Error
from shared.domain.access import APP_ROLES, ROLES, Access

Json = dict[str, Any]
REF = "#/components/schemas/"
EXAMPLES: Mapping[str, Any] = {
    "operation_id": OPERATION,
    "group_id": GROUP,
    "user_id": USER,
    "sku_id": E3,
    "dead_letter_id": OPERATION,
    "entry_id": OPERATION,
    "bulk_id": OPERATION,
    "run_id": OPERATION,
    "level": "readOnly",
    "event_key": OPERATION,
    "profile_name": "sales",
    "skuId": E3,
    "causedBy": E3,
    "disabledPlans": [TEAMS],
    "removeLicenses": [],
    "skuIds": [E3],
    "userIds": [USER],
    "excludedGroups": [GROUP],
    "groups": [GROUP],
    "id": OPERATION,
    "checksum": "9b1f2e3d4c5b6a79",
    "usageLocation": "DE",
    "grace": "P30D",
    "priority": 0,
    "assignment": "keep",
    "displayName": "Sales",
    "message": {"version": 1},
    "department": ["Sales"],
    "idempotency-key": "5f0c2a2e-onboarding",
    "client-request-id": "ticket-42",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "if-match": 'W/"3"',
    "$top": 100,
    "search": "sal",
    "user": USER,
    "group": GROUP,
    "initiatedBy": "ada",
    "activity": "license",
    "groupId": GROUP,
    "since": "2026-11-01T00:00:00Z",
    "until": "2026-11-30T00:00:00Z",
}
"""Examples of what callers send, by name; answers have theirs at their fields."""

EVENT: Json = {
    "specversion": "1.0",
    "type": "hr.joiner.v1",
    "source": "/hr/contoso",
    "id": "hr-2026-000123",
    "data": {
        "user": {"employeeId": "E-4711"},
        "effectiveDate": "2026-12-01",
        "usageLocation": "DE",
        "attributes": {"department": "Sales"},
    },
}
UNSENT = ("$skiptoken", "approvedPreview", "companyName", "costCenter", "country", "division", "employeeType")
TEST_OBJECTS = ("testUserId", "testUserIds", "testGroupId", "testSkuId")
NOT_EXAMPLED = (*UNSENT, *TEST_OBJECTS, "jobTitle", "officeLocation")
"""Optional fields that most callers leave out; examples leave them out too."""

MOSTLY_NULL = (
    "approvedBy",
    "cancelRequestedBy",
    "checksum",
    "claimedBy",
    "completedDateTime",
    "corrected",
    "drift",
    "keptReason",
    "error",
    "fault",
    "consequence",
    "unusableReason",
    "openApproval",
    "queuesError",
    "remedy",
    "removalDateTime",
    "startedDateTime",
    "supersededBy",
    "text",
    "throttledUntilDateTime",
    "userIds",
)
"""Fields of answers that hold something in few of them only."""


def describe(app: FastAPI, access: Mapping[tuple[str, str], Access]) -> Json:
    """The description of all routes of the API."""
    found: Json = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
    schemas: Json = found["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(_answers())
    for path, verbs in found["paths"].items():
        for verb, operation in verbs.items():
            route = (verb.upper(), path)
            operation["operationId"] = operation["operationId"].partition("_api_")[0]
            operation["x-roles"] = [role for role in APP_ROLES if access[route] in ROLES[role]]
            operation["responses"] = _responses(ANSWERS[route], schemas)
            for parameter in operation.get("parameters", ()):
                _exemplify(parameter, parameter["name"], schemas)
            for media in operation.get("requestBody", {}).get("content", {}).values():
                media["example"] = _body(media["schema"], schemas)
    found["components"]["responses"] = {str(status): _rejection(status, why) for status, why in REJECTIONS.items()}
    found["components"]["securitySchemes"] = {"entra": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    found["security"] = [{"entra": []}]
    found["info"]["license"] = {"name": "MIT", "identifier": "MIT"}
    found["info"]["contact"] = {"name": "The administrators of this deployment"}
    found["servers"] = [SERVER]
    found["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    return found


SERVER: Json = {
    "url": "https://{host}",
    "variables": {"host": {"default": HERE.removeprefix("https://"), "description": "The host of the function app."}},
}
TAGS: Mapping[str, str] = {
    "center": "Groups found by name, people, the state of the app, and the audit log.",
    "dead letters": "Failed messages: list, replay and delete them.",
    "groups": "Licenses of groups: assignment, options, status and members.",
    "licenses": "Products of the tenant with their users, and one search for everything.",
    "onboarding": "HR events, their results, and the profiles of jobs.",
    "operations": "Long work: state, plan, approval, pause and cancel.",
    "users": "Licenses of named users, and the data that is stored about a user.",
}


def _rejection(status: int, why: str) -> Json:
    media = {"schema": {"$ref": f"{REF}AnswerError"}, "examples": examples(status)}
    headers = {"headers": RETRY_AFTER} if status in (429, 503) else {}
    return {"description": why, **headers, "content": {"application/json": media}}


ABOUT = (
    "Seatkeeper licenses the members of Microsoft 365 groups. Callers sign in with Microsoft Entra ID, and need one of "
    "the app roles in `x-roles`. Bodies have at most 1 MiB. Requests that start an operation take an Idempotency-Key "
    "and are answered with 202, a Location and Retry-After. Collections are paged by `$top` (at most 999) and "
    "`@odata.nextLink`; a search by POST repeats its body at the link. Users can be named by userPrincipalName, "
    "products by skuPartNumber, and groups by their name if only one group has it. Unknown query parameters are an "
    "error. `details` lists every fault of a request."
)


def _answers() -> Json:
    models = {model for answers in ANSWERS.values() for model in answers.values() if model is not None} | {Error}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schema = models_json_schema([(model, "validation") for model in ordered], ref_template=REF + "Answer{model}")
    return {f"Answer{name}": each for name, each in schema["$defs"].items()}


def _responses(answers: Mapping[int, type[BaseModel] | None], schemas: Json) -> Json:
    found: Json = {}
    for status, model in answers.items():
        found[str(status)] = {"description": _said(model, status)}
        if status == 202:
            found[str(status)]["headers"] = ACCEPTED
        if model is not None:
            found[str(status)] |= {"content": _content(model, schemas)}
            leads = LINKS.get(model, {})
            if leads:
                found[str(status)]["links"] = {
                    name: {"operationId": operation, "parameters": {parameter: "$response.body#/id"}}
                    for name, (operation, parameter) in leads.items()
                }
    return found | {str(status): {"$ref": f"#/components/responses/{status}"} for status in REJECTIONS}


RETRY_AFTER: Json = {
    "Retry-After": {
        "description": "Seconds after which to ask again.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 5,
    },
}
ACCEPTED: Json = {
    "Location": {
        "description": "Where to read the progress of the work.",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": f"/api/operations/{OPERATION}",
    },
    **RETRY_AFTER,
}
"""Headers of every 202."""


def _said(model: type[BaseModel] | None, status: int) -> str:
    if status == 202:
        return "Accepted; the work goes on."
    return "Done." if model is None else "The answer."


def _content(model: type[BaseModel], schemas: Json) -> Json:
    schema = {"$ref": f"{REF}Answer{model.__name__}"}
    return {"application/json": {"schema": schema, "example": example(schema, schemas)}}


def _exemplify(parameter: Json, name: str, schemas: Json) -> None:
    if name not in NOT_EXAMPLED:
        parameter["example"] = EXAMPLES[name] if name in EXAMPLES else example(parameter["schema"], schemas)


def _body(schema: Json, schemas: Json) -> Any:
    if schema.get("type") == "array":
        return [EVENT]
    return EVENT if schema == {"type": "object"} else example(schema, schemas, sent=True)


def example(schema: Json, schemas: Json, name: str = "", *, sent: bool = False) -> Any:
    """An example that fits a schema: of the fields that callers send from EXAMPLES, of answers as they say."""
    if sent and name in EXAMPLES:
        return EXAMPLES[name]
    if "examples" in schema:
        return schema["examples"][0]
    if "$ref" in schema:
        return example(schemas[schema["$ref"].removeprefix(REF)], schemas, name, sent=sent)
    if "anyOf" in schema:
        may_be_null = {"type": "null"} in schema["anyOf"]
        choice = next(each for each in schema["anyOf"] if each != {"type": "null"})
        return None if may_be_null and name in MOSTLY_NULL else example(choice, schemas, name, sent=sent)
    given = [schema[each] for each in ("const", "default") if schema.get(each) not in (None, "", [])]
    return (given or schema.get("enum") or [_of_type(schema, schemas, name, sent=sent)])[0]


def _of_type(schema: Json, schemas: Json, name: str, *, sent: bool) -> Any:
    match schema.get("type"):
        case "object":
            inner = {
                key: each for key, each in schema.get("properties", {}).items() if not sent or key not in NOT_EXAMPLED
            }
            return {key: example(each, schemas, key, sent=sent) for key, each in inner.items()}
        case "array":
            return [example(schema["items"], schemas, sent=sent)]
        case "boolean":
            return False
        case "integer" | "number":
            return schema.get("minimum", 0)
    raise LookupError(f"{name or schema} needs an example")
