"""Starting an operation over HTTP: what all routes that do so have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import Depends, Header
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.web import operation_answers
from functions.web.audit_answers import Json
from functions.web.context import Correlation, Key, TheWorld, requires
from functions.web.principal import Principal
from functions.web.requests import ApprovedPreview
from shared.domain.access import Access
from shared.domain.errors import Outdated
from shared.domain.ids import OperationId
from shared.domain.operation import Operation, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations.accept import accept
from shared.handlers.views import queries
from shared.ports.world import World

RETRY_AFTER_S = 5
"""Seconds after which a caller asks again how far accepted work is."""


def accepted(location: str, body: Json | None = None) -> Response:
    """202: where to read how far the work is, and when to ask."""
    return JSONResponse(body, 202, {"Location": location, "Retry-After": str(RETRY_AFTER_S)})


class Starter:
    """Accepts requests of one caller; an Idempotency-Key makes a repeat return the same operation."""

    def __init__(
        self,
        world: World,
        principal: Principal,
        require: Callable[[Access], None],
        key: str,
        correlation: str,
        traceparent: str,
    ) -> None:
        self.require = require
        """Raises Rejection unless the caller has an access that the route alone did not ask for."""
        self.can_approve = Access.APPROVE in principal.access
        """Whether the caller has a role that approves; the sign-in can still be too old for it."""
        self._world = world
        self._initiator = principal.initiator
        self._key = key
        self._correlation = correlation
        self._traceparent = traceparent

    def request(self, target: Target) -> OperationRequest:
        """A request of the caller on the target, still without a change."""
        return OperationRequest(
            target,
            self._initiator,
            idempotency_key=self._key,
            correlation_id=self._correlation,
            traceparent=self._traceparent,
        )

    async def start(self, request: OperationRequest, approved: ApprovedPreview | None = None) -> Response:
        """202 with the operation and its Location.

        Raises Outdated when an approved preview has another checksum. Raises Rejection if the preview shows removals
        and the caller cannot approve, or if options are set without the right to.
        """
        if request.options is not None:
            self.require(Access.CONFIGURE)
        if approved is not None:
            preview = await queries.operation(self._world, OperationId(approved.id))
            if not preview.preview or preview.checksum != approved.checksum:
                raise Outdated(f"The checksum is not that of preview {approved.id}; read it again.")
            self.check_removals(preview)
            request = replace(request, preview_id=preview.id)
        operation = await accept(self._world, request)
        return accepted(f"/api/operations/{operation.id}", operation_answers.operation(operation))

    def check_options(self, operation: Operation) -> None:
        """To confirm a preview that sets options is to set them, and so is to restore what was before an operation that
        has set some. Raises Rejection."""
        if operation.change.options is not None:
            self.require(Access.CONFIGURE)

    def check_removals(self, preview: Operation) -> None:
        """To confirm a preview with removals is to approve them. Raises Rejection."""
        if preview.plan.users_losing:
            self.require(Access.APPROVE)


async def _starter(
    request: Request,
    world: TheWorld,
    key: Key,
    correlation: Correlation,
    traceparent: Annotated[str, Header(max_length=128)] = "",
) -> Starter:
    return Starter(world, request.scope["principal"], partial(requires, request), key, correlation, traceparent)


TheStarter = Annotated[Starter, Depends(_starter)]
