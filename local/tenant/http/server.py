"""The tenant as an HTTP server: Graph under /v1.0, the token endpoints, and the control API under /_tenant/.

async with SimulatedTenant(port=0) as tenant:
    tenant.graph_url, tenant.state
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import uuid
from email.utils import formatdate
from types import TracebackType
from typing import Any

from aiohttp import web

from local.tenant import clock
from local.tenant.call import JSON_TYPE, Call, GraphError, Reply, encode, error_body, error_reply
from local.tenant.control.api import control
from local.tenant.generator.generate import generate
from local.tenant.http.batch import answer_batch
from local.tenant.http.pipeline import DroppedError, NoAnswerError, answer, parse_body
from local.tenant.http.token_endpoints import client_credentials, managed_identity
from local.tenant.identity.tokens import GRAPH_AUDIENCES, InvalidTokenError
from local.tenant.settings import Settings
from local.tenant.tenant import Tenant

NOBODY = "unauthenticated"  # stands for the appId where a call is counted that has no valid token
_METADATA_ADDRESS = "https://login.microsoftonline.com"


class SimulatedTenant:
    """A running tenant; use as an async context manager.

    `members` > 0 generates a tenant at start (see generator.generate for `options`); `settings` are those of
    PATCH /_tenant/settings under their JSON names.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        members: int = 0,
        seed: int = 1,
        identity_header: str = "local",
        client_secret: str = "local",
        signing_key: str | None = None,
        settings: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        parsed = Settings()
        parsed.patch(settings or {})
        self.state = Tenant(parsed, signing_key or secrets.token_hex(32))
        self.identity_header = identity_header
        self.client_secret = client_secret
        self.port = port
        self._generate: dict[str, Any] | None = (
            {"members": members, "seed": seed, **(options or {})} if members else None
        )
        self._runner: web.ServerRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    @property
    def url(self) -> str:
        """http://127.0.0.1:{port}"""
        return f"http://127.0.0.1:{self.port}"

    @property
    def graph_url(self) -> str:
        """Base address of Graph, with the version."""
        return f"{self.url}/v1.0"

    def token(
        self, client: str = "product", audience: str = "https://graph.microsoft.com", lifetime: float = 3600
    ) -> str:
        """An access token as the token endpoint would issue it, without the request."""
        return self.state.issuer.issue(self.state.clients[client], audience, lifetime)[0]

    async def start(self) -> None:
        """Generate if asked, then listen on 127.0.0.1; `port` is the real one afterwards."""
        if self._generate is not None:
            self.state.replace_directory(*await asyncio.to_thread(generate, **self._generate))
        self._runner = web.ServerRunner(
            web.Server(self._handle, max_field_size=32_768, access_log=None), shutdown_timeout=0.2
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=512)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._tasks = [asyncio.create_task(self.state.native.run()), asyncio.create_task(self.state.sender.run())]

    async def stop(self) -> None:
        """Stop listening; unanswered requests are cut off."""
        self._stopping.set()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> SimulatedTenant:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path.startswith("/v1.0/"):
            return await self._graph(request, path[5:])
        if path.startswith("/_tenant/"):
            return await control(self.state, request, path[9:])
        if path == "/msi/token" and request.method == "GET":
            return managed_identity(self.state, request, self.identity_header)
        if path.endswith("/oauth2/v2.0/token") and request.method == "POST":
            return await client_credentials(self.state, request, self.client_secret)
        return _json_response(404, {"error": {"code": "NotFound", "message": f"Nothing is served at {path}."}})

    async def _graph(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        raw = await request.read() if request.can_read_body else b""
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            status, shown, body = await self.serve(
                request.method, path, dict(request.query) if request.query_string else {}, headers, raw
            )
        except NoAnswerError as silence:
            return await self._no_answer(request, reset=silence.reset)
        return web.Response(status=status, body=body, headers=shown)

    async def serve(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], raw: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of one request of Graph; `path` without the version, header names in lower case.

        Raises NoAnswerError if a fault leaves the request unanswered.
        """
        request_id = str(uuid.uuid4())
        try:
            identity = self.state.issuer.check(headers.get("authorization"))
        except InvalidTokenError as error:
            return self._unauthorized(str(error), request_id)
        self.state.metrics.request(identity.app_id)
        call = Call(
            method=method,
            path=path.rstrip("/") if len(path) > 1 else path,
            query=query,
            headers=headers,
            body=None,
            app_id=identity.app_id,
            permissions=self.state.granted(identity),
            base=f"http://{headers.get('host', f'127.0.0.1:{self.port}')}/v1.0",
            request_id=request_id,
        )
        try:
            call.body = parse_body(raw, headers.get("content-type", ""))
            reply = await self._answer(call)
        except GraphError as error:
            reply = error_reply(error, call)
        return _graph_response(reply, call)

    async def _answer(self, call: Call) -> Reply:
        if call.path != "/$batch" or call.method != "POST":
            try:
                return await answer(self.state, call)
            except DroppedError:
                return Reply(200)
        return await self._batch(call)

    async def _batch(self, call: Call) -> Reply:
        """A batch, with the faults that are aimed at the request as a whole."""
        tenant = self.state
        fault = tenant.faults.strike("POST", "/$batch", (call.app_id, tenant.client_name(call.app_id))) or {}
        if fault.get("delayMs"):
            await asyncio.sleep(float(fault["delayMs"]) / 1000)
        if fault.get("reset") or fault.get("timeoutBefore"):
            raise NoAnswerError(reset=bool(fault.get("reset")))
        if "status" in fault:
            headers = {"Retry-After": str(fault["retryAfter"])} if "retryAfter" in fault else {}
            code = str(fault.get("code", "UnknownError"))
            raise GraphError(int(fault["status"]), code, str(fault.get("message", "")), headers)
        reply = await answer_batch(tenant, call)
        if fault.get("timeoutAfter"):
            raise NoAnswerError(reset=False)
        return reply

    async def _no_answer(self, request: web.BaseRequest, *, reset: bool) -> web.StreamResponse:
        if not reset:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self.state.settings.hold_seconds)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=504)

    def _unauthorized(self, reason: str, request_id: str) -> tuple[int, dict[str, str], bytes]:
        error = GraphError(
            401, "InvalidAuthenticationToken", reason
        )  # the code is Graph's, the reasons our own wording
        challenge = (
            f'Bearer realm="", authorization_uri="{_METADATA_ADDRESS}/common/oauth2/authorize", '
            f'client_id="{GRAPH_AUDIENCES[2]}"'
        )
        self.state.metrics.request(NOBODY)
        self.state.metrics.item(NOBODY, 401, is_write=False)
        headers = {"WWW-Authenticate": challenge, "Content-Type": "application/json"}
        return 401, headers, json.dumps(error_body(error, request_id)).encode()


def _graph_response(reply: Reply, call: Call) -> tuple[int, dict[str, str], bytes]:
    headers = {
        "request-id": call.request_id,
        "client-request-id": call.headers.get("client-request-id", call.request_id),
    }
    headers["Date"] = formatdate(clock.time(), usegmt=True)
    headers.update(reply.headers)
    if reply.body is not None:
        headers.setdefault("Content-Type", JSON_TYPE)
    return reply.status, headers, encode(reply.body)


def _json_response(status: int, body: Any, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=json.dumps(body), content_type="application/json", headers=headers)
