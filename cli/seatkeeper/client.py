"""Calls of the HTTP API: tokens, errors in the API's shape, retries after 429 and 503, and pages of lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx

from seatkeeper import __version__
from seatkeeper.errors import ApiError, CliError
from seatkeeper.routes import Route

TIMEOUT_S = 230.0
"""As long as Azure waits for an answer (learn.microsoft.com/azure/azure-functions/functions-scale)."""

LATER = frozenset({429, 503})
"""Answers that ask for the same request later. The app has done nothing of it."""

MOST_WAIT_S = 120.0
"""Waits in total before the error is shown."""

DEFAULT_WAIT_S = 5.0
PAGE = 999

REQUESTS_AT_ONCE = 4
"""A command never asks the app more at a time."""

Json = Any
Item = TypeVar("Item")
Answer = TypeVar("Answer")


def together(ask: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
    """The answers for all items in their order, some asked at a time. Raises what the first failed one raises."""
    listed = list(items)
    if len(listed) < 2:
        return [ask(each) for each in listed]
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        return list(pool.map(ask, listed))


class Client:
    """`headers`: adds the sign-in to a request, and is called for each one, since tokens end."""

    def __init__(
        self,
        base: str,
        headers: Callable[[], Mapping[str, str]],
        sleep: Callable[[float], None],
        transport: httpx.BaseTransport | None = None,
        waiting: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.base = base.rstrip("/")
        self._headers = headers
        self._sleep = sleep
        self._waiting = waiting
        self._http = httpx.Client(
            transport=transport, timeout=TIMEOUT_S, headers={"user-agent": f"seatkeeper/{__version__}"}
        )

    def send(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The response to a request. Raises ApiError for an error, CliError if there is no answer."""
        url = self._url(path)
        given = {name: _text(value) for name, value in (query or {}).items() if value is not None}
        waited = 0.0
        while True:
            try:
                response = self._http.request(
                    method, url, json=body, params=given or None, headers={**self._headers(), **(headers or {})}
                )
            except httpx.HTTPError as fault:
                raise CliError(
                    f"{self.base} does not answer: {fault or type(fault).__name__}.",
                    "Check the address (--url or SEATKEEPER_URL) and the network.",
                    "NoAnswer",
                ) from fault
            pause = _retry_after(response)
            if response.status_code not in LATER or waited + pause > MOST_WAIT_S:
                break
            self._waiting(pause)
            self._sleep(pause)
            waited += pause
        if response.status_code >= 300:
            raise error_of(response)
        return response

    def call(self, method: str, path: str, body: Json = None, **options: Any) -> Json:
        """The JSON of an answer; None if it is empty."""
        response = self.send(method, path, body, **options)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError as fault:
            raise CliError(
                f"{self.base} answered with something that is not JSON.",
                "Check that the address is that of the app, without a path.",
                "NotTheApi",
            ) from fault

    def ask(
        self,
        route: Route,
        *ids: str,
        body: Json = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """The answer of a route."""
        return self.call(route.method, route.at(*ids), body, query=query, headers=headers)

    def all(self, route: Route, *ids: str, query: Mapping[str, Any] | None = None) -> Iterator[Json]:
        """Every item of a list, page by page."""
        answer = self.ask(route, *ids, query={"$top": PAGE, **(query or {})})
        while True:
            yield from answer["value"]
            following = answer.get("@odata.nextLink")
            if not following:
                return
            answer = self.call("GET", following)

    def whole(self, route: Route) -> dict[str, Any]:
        """The answer of a list with the items of all pages, such as a list with a checksum over all of it."""
        answer: dict[str, Any] = self.ask(route, query={"$top": PAGE})
        items, following = list(answer["value"]), answer.pop("@odata.nextLink", None)
        while following:
            page = self.call("GET", following)
            items, following = [*items, *page["value"]], page.get("@odata.nextLink")
        return {**answer, "value": items}

    def search(self, route: Route, *ids: str, body: Mapping[str, Any]) -> Iterator[Json]:
        """Every item that a search finds; the search is in the body."""
        answer = self.ask(route, *ids, body=body, query={"$top": PAGE})
        while True:
            yield from answer["value"]
            following = answer.get("@odata.nextLink")
            if not following:
                return
            answer = self.call("POST", following, body)

    def _url(self, path: str) -> str:
        """The address of a path. A link to another host gets no token. Raises CliError."""
        if path.startswith("/"):
            return self.base + path
        there = httpx.URL(path)
        here = httpx.URL(self.base)
        if (there.scheme, there.host, there.port) != (here.scheme, here.host, here.port):
            raise CliError(f"{path} is on another host than {self.base}.", "Give a path, such as /api/operations.")
        return path


def error_of(response: httpx.Response) -> ApiError:
    """The error in an answer, also if a proxy wrote it."""
    try:
        error = response.json()["error"]
        inner = error.get("innerError") or {}
        return ApiError(
            response.status_code,
            str(error["code"]),
            str(error["message"]),
            str(error.get("target") or ""),
            str(inner.get("request-id") or response.headers.get("request-id", "")),
            list(error.get("details") or []),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        text = " ".join(response.text.split())[:200] or response.reason_phrase
        code = f"Http{response.status_code}"
        return ApiError(
            response.status_code,
            code,
            f"HTTP {response.status_code}: {text}",
            "",
            response.headers.get("request-id", ""),
        )


def _retry_after(response: httpx.Response) -> float:
    try:
        return max(0.0, float(response.headers.get("retry-after", DEFAULT_WAIT_S)))
    except ValueError:
        return DEFAULT_WAIT_S


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
