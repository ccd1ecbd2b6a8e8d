"""Forged change notifications: whatever lacks the secret of the subscription reaches no queue."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

from tests.attack.arena import ALLOWED, Arena
from tests.attack.callers import OTHER_TENANT

WEBHOOK = "webhook forgeries"
ADDRESSES = ("/graph/notifications", "/graph/lifecycle")
MEBIBYTE = 1024 * 1024
LEFT_OUT = object()
ANSWERED = (202, 400, 413)


def try_webhook(arena: Arena) -> None:
    """Forgeries of each field, bodies that are none, handshakes that are none, and one genuine notification."""
    (subscription, *_) = list[Any](arena.run.client.tenant("GET", "/subscriptions"))
    genuine = {
        "changeType": "updated",
        "subscriptionId": subscription["id"],
        "clientState": subscription["clientState"],
        "tenantId": arena.mint.tenant_id,
        "resourceData": {"id": ALLOWED, "members@delta": [{"id": arena.people(1)[0]}]},
    }
    arena.run.until_quiet()
    with _held(arena):
        before = _queued(arena)
        arena.each(arena.some(product(ADDRESSES, _forgeries(genuine))), lambda pair: _send(arena, *pair))
        arena.each(arena.some(product(ADDRESSES, _no_notifications(genuine))), lambda pair: _send(arena, *pair))
        arena.results.must(WEBHOOK, "nothing forged is queued", _queued(arena) == before, _queued(arena))
        answer = arena.ask("POST", ADDRESSES[0], {}, {"value": [genuine]})
        arena.results.must_pass(WEBHOOK, "a genuine notification", answer)
        right = _queued(arena) == before + 1
        arena.results.must(WEBHOOK, "a genuine notification is queued", right, _queued(arena), denial=False)
    _handshakes(arena)


def _values(right: str) -> list[Any]:
    """Values that an attacker who does not know a text puts in its place."""
    return [LEFT_OUT, None, "", "x", 0, True, [], {}, [right], {"value": right}, right[:-1], f"{right}x", "*"]


def _forgeries(genuine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every combination of right and wrong subscription, secret and tenant but the right one; as changes and as
    lifecycle events."""
    names = ("subscriptionId", "clientState", "tenantId")
    wrong = [_values(genuine[name]) for name in names]
    wrong[1] += ["0" * len(genuine["clientState"]), "\ud800"]
    wrong[2] += [OTHER_TENANT]
    for values in product(*([genuine[name], *each] for name, each in zip(names, wrong, strict=True))):
        forged = {**genuine, **dict(zip(names, values, strict=True))}
        forged = {name: value for name, value in forged.items() if value is not LEFT_OUT}
        if forged != genuine and forged.get("clientState") != genuine["clientState"]:
            yield forged
        elif forged != genuine:
            yield {**forged, "lifecycleEvent": "missed"}


def _no_notifications(genuine: dict[str, Any]) -> Iterator[bytes]:
    forged = json.dumps({"value": [{**genuine, "clientState": "x"}] * 1000}).encode()
    yield from (b"", b"{", b"null", b"[]", b"7", b'"x"', b"\xff\xfe\x00", b"[" * 100_000, forged)
    yield from (b'{"value": null}', b'{"value": {}}', b'{"value": [null]}', b'{"value": [[]]}', b'{"value": 1e999}')
    yield json.dumps({"value": [genuine], "padding": "x" * MEBIBYTE}).encode()


def _send(arena: Arena, path: str, forged: object) -> None:
    body = forged if isinstance(forged, bytes) else {"value": [forged]}
    answer = arena.ask("POST", path, {"content-type": "application/json"}, body)
    shown = forged[:40] if isinstance(forged, bytes) else forged
    arena.results.must_deny(WEBHOOK, f"{path} {shown!r}", answer, ANSWERED)


@contextmanager
def _held(arena: Arena) -> Iterator[None]:
    """While the workers of the queue hold still, what is queued can be counted."""
    pids = arena.run.stack.workers("process_notifications")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _queued(arena: Arena) -> int:
    """Messages of notifications; a scheduled one can be of a timer."""
    counts = arena.run.queues()["notifications"]
    return counts["active"] + counts["locked"]


def _handshakes(arena: Arena) -> None:
    """The token is echoed as text that no browser runs, and not at any length; other methods find nothing."""
    hostile = "%3Cscript%3Ealert(1)%3C/script%3E"
    for path in ADDRESSES:
        answer = arena.ask("POST", f"{path}?validationToken={hostile}", {}, b"")
        kind, sniff = answer.headers.get("content-type", ""), answer.headers.get("x-content-type-options", "")
        right = kind.startswith("text/plain") and sniff == "nosniff"
        arena.results.must(WEBHOOK, f"{path} echoes a script", right, f"{kind} {sniff}")
        long = arena.ask("POST", f"{path}?validationToken={'x' * 5000}", {}, b"")
        arena.results.must_deny(WEBHOOK, f"{path} echoes 5,000 characters", long, 400)
        for method in ("GET", "PUT", "DELETE", "OPTIONS"):
            answer = arena.ask(method, f"{path}?validationToken=x")
            arena.results.must_deny(WEBHOOK, f"{method} {path}", answer, (401, 404, 405))
