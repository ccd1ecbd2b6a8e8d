"""The Graph client sends a request with the SDK as it is installed: the deployment package has only a part of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest


class _Graph(BaseHTTPRequestHandler):
    """Answers what it was asked; a path with `missing` in it does not exist."""

    def do_GET(self) -> None:
        missing = "missing" in self.path
        answer: dict[str, Any] = {"path": self.path, "authorization": self.headers["Authorization"]}
        body = json.dumps(
            {"error": {"code": "Request_ResourceNotFound", "message": "no"}} if missing else answer
        ).encode()
        self.send_response(404 if missing else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def graph_url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Graph)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1.0"
    server.shutdown()
    thread.join(10)
    server.server_close()


class _Credential:
    async def get_token(self, *scopes: str, **options: Any) -> Any:
        from azure.core.credentials import AccessToken

        return AccessToken("the-token", 4102444800)

    async def close(self) -> None:
        """Holds nothing."""


@pytest.mark.asyncio
async def test_a_request_goes_out_with_a_token_and_an_error_comes_back_as_one(graph_url: str) -> None:
    from shared.adapters.graph import GraphClient
    from shared.domain.errors import NotFound

    credential: Any = _Credential
    client = GraphClient(graph_url, "https://graph.microsoft.com/.default", credential)
    answer = (await client.read("/organization")).json()
    assert answer == {"path": "/v1.0/organization", "authorization": "Bearer the-token"}
    with pytest.raises(NotFound):
        await client.read("/groups/missing")
    await client.close()
