"""Puts IDs in the place of the names in a request."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import Depends
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from functions.web.context import TheWorld
from functions.web.errors import fault_at, invalid
from functions.web.names import GroupName, SkuName, UserName
from shared.domain.errors import BadRequest, NotFound
from shared.domain.ids import GroupId, SkuId, UserId, is_guid
from shared.handlers.views.naming import UNKNOWN, Kind, look_up
from shared.ports.world import World

Body = TypeVar("Body", bound=BaseModel)


class _Wanted:
    """Collects the names of a body."""

    def __init__(self) -> None:
        self.names: set[tuple[Kind, str]] = set()

    def id_of(self, kind: Kind, name: str) -> str:
        self.names.add((kind, name))
        return name


async def with_ids(world: World, body: Body) -> Body:
    """The body with an ID in the place of every name. It is checked again, because an ID and a name can be the same
    thing. Raises RequestValidationError with every name that is unknown or ambiguous."""
    shape, sent = type(body), body.model_dump(by_alias=True, exclude_unset=True, mode="json")
    wanted = _Wanted()
    shape.model_validate(sent, context=wanted)
    if not wanted.names:
        return body
    try:
        return shape.model_validate(sent, context=await look_up(world, wanted.names))
    except ValidationError as failed:
        errors = [{**each, "loc": ("body", *each["loc"])} for each in failed.errors()]
        raise RequestValidationError(errors) from failed


async def id_of(world: World, kind: Kind, text: str, target: str, *, in_path: bool = False) -> str:
    """The ID for a text of an address. Raises NotFound for an unknown name in a path, else HttpError."""
    if is_guid(text):
        return text
    known = await look_up(world, [(kind, text)])
    try:
        return known.id_of(kind, text)
    except BadRequest as fault:
        if in_path and fault.code == UNKNOWN:
            raise NotFound(str(fault)) from fault
        raise invalid([fault_at(target, str(fault), fault.code)]) from fault


async def _user(world: TheWorld, user_id: UserName) -> UserId:
    return UserId(await id_of(world, Kind.USER, user_id, "user_id", in_path=True))


async def _group(world: TheWorld, group_id: GroupName) -> GroupId:
    return GroupId(await id_of(world, Kind.GROUP, group_id, "group_id", in_path=True))


async def _sku(world: TheWorld, sku_id: SkuName) -> SkuId:
    return SkuId(await id_of(world, Kind.SKU, sku_id, "sku_id", in_path=True))


TheUserId = Annotated[UserId, Depends(_user)]
TheGroupId = Annotated[GroupId, Depends(_group)]
TheSkuId = Annotated[SkuId, Depends(_sku)]


async def optional_sku(world: World, text: str | None, target: str = "skuId") -> SkuId | None:
    """The product that a query names, if any."""
    return SkuId(await id_of(world, Kind.SKU, text, target)) if text else None


async def optional_user(world: World, text: str | None, target: str = "userId") -> UserId | None:
    """The user that a query names, if any."""
    return UserId(await id_of(world, Kind.USER, text, target)) if text else None


async def optional_group(world: World, text: str | None, target: str = "groupId") -> GroupId | None:
    """The group that a query names, if any."""
    return GroupId(await id_of(world, Kind.GROUP, text, target)) if text else None
