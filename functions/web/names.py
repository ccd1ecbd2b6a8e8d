"""Types of fields that hold an ID or a name: what is well-formed, and how an ID takes the place of a name."""

from __future__ import annotations

import re
from typing import Annotated, Protocol

from pydantic import AfterValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from shared.domain.errors import BadRequest
from shared.domain.ids import is_guid
from shared.handlers.views.naming import Kind

MAX_NAME = 256
_PART_NUMBER = re.compile(r"[\w .()+&-]{1,128}")
_GROUP_NAME = re.compile(r"[^\x00-\x1f]{1,256}")
_SIGN_IN_NAME = re.compile(r"[^\s@/?]{1,113}@[^\s@/?]{1,113}")
"""Lengths as in Entra (learn.microsoft.com/entra/identity/hybrid/connect/plan-connect-userprincipalname)."""

RULES = {
    Kind.USER: (_SIGN_IN_NAME, "must be an object ID or a userPrincipalName"),
    Kind.GROUP: (_GROUP_NAME, "must be an object ID or the name of one group"),
    Kind.SKU: (_PART_NUMBER, "must be a skuId or a skuPartNumber"),
    Kind.PLAN: (_PART_NUMBER, "must be a servicePlanId or a servicePlanName"),
}


class Names(Protocol):
    def id_of(self, kind: Kind, name: str) -> str: ...


def _named(kind: Kind) -> AfterValidator:
    pattern, rule = RULES[kind]

    def checked(text: str, info: ValidationInfo) -> str:
        name = text.strip()
        if is_guid(name.lower()):
            return name.lower()
        if not pattern.fullmatch(name):
            raise ValueError(f"{rule}, not {text[:64]!r}")
        names: Names | None = info.context
        try:
            return names.id_of(kind, name) if names is not None else name
        except BadRequest as fault:
            raise PydanticCustomError(fault.code, "{text}", {"text": str(fault)}) from fault

    return AfterValidator(checked)


def _schema(kind: Kind) -> WithJsonSchema:
    text = RULES[kind][1].removeprefix("must be ").replace("object ID", "object ID (GUID)")
    return WithJsonSchema({"type": "string", "maxLength": MAX_NAME, "description": text[0].upper() + text[1:] + "."})


UserName = Annotated[str, _named(Kind.USER), _schema(Kind.USER)]
GroupName = Annotated[str, _named(Kind.GROUP), _schema(Kind.GROUP)]
SkuName = Annotated[str, _named(Kind.SKU), _schema(Kind.SKU)]
PlanName = Annotated[str, _named(Kind.PLAN), _schema(Kind.PLAN)]
