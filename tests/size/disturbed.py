"""What happens to a running operation: a second one beside it, and other apps that take the tenant's quota."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.client import Client
from local.stack import WRITES_PER_S, Stack
from tests.size.growing import ReportProgress, Run, adding, measured, started, wait

TENANT_WRITES_PER_S = 60.0
OTHERS_SHARE = 0.95
"""Of the tenant's quota taken by others: a twentieth of 60 writes a second is left, a sixth of what we would use."""


def beside(
    members: int, *, scale: float, seed: int, where: Path, report_progress: ReportProgress
) -> tuple[Run, Run, float]:
    """A large operation, and a small one on another group asked for in its midst; and when the small one wrote first.

    The small group is one of the tenant's own with a tenth of the people, who are members of the large one too.
    """
    with started(members, scale=scale, quota_kind="window", seed=seed, where=where) as stack:
        client = Client(stack.endpoints)
        summary = client.tenant("GET", "/summary")
        skus = summary["skus"]
        client.tenant("POST", "/objects", {"skus": [{"skuId": skus["VISIOCLIENT"], "enabled": 10 * members}]})
        people = [user["id"] for user in client.tenant("GET", "/directory")["users"][: members // 10]]
        small = client.tenant("POST", "/objects", {"groups": [{"displayName": "small", "members": people}]})["groups"][
            0
        ]
        large, second = Run("large", members, scale, "window"), Run("small beside it", members // 10, scale, "window")
        first_write: list[float] = []

        def ask_for_the_second() -> None:
            began = time.monotonic()
            asked = client.api("POST", f"/api/groups/{small}/assignLicense", adding(skus["VISIOCLIENT"]))

            def report_first(run: Run, operation: dict[str, Any]) -> None:
                if operation["totals"]["wrote"] and not first_write:
                    first_write.append(round(time.monotonic() - began, 1))

            ended = wait(client, asked["id"], second, report_first)
            second.seconds = round(time.monotonic() - began, 1)
            second.state, second.totals = ended["state"], ended["totals"]

        def report_large(run: Run, operation: dict[str, Any]) -> None:
            report_progress(run, operation)
            if operation["totals"]["wrote"] > members // 4 and not thread.is_alive() and not second.state:
                thread.start()

        thread = threading.Thread(target=ask_for_the_second)
        path = f"/api/groups/{summary['groups']['main']}/assignLicense"
        measured(stack, client, large, path, adding(skus["SPE_E3"]), report_large)
        thread.join(600)
        return large, second, first_write[0] if first_write else 0.0


@dataclass
class Squeezed:
    """An operation while others use up the tenant's quota: successful writes a second before, during and after."""

    run: Run
    others_s: float
    rates: dict[str, float] = field(default_factory=dict)
    throttled_during: int = 0
    recovered_after_s: float | None = None
    """Until ten seconds in a row reached nine tenths of our own rate again."""


def squeezed(
    members: int, *, scale: float, seed: int, others_s: float, where: Path, report_progress: ReportProgress
) -> Squeezed:
    """License a group; ten seconds after its first write others take the tenant's quota for a while."""
    with started(members, scale=scale, quota_kind="bucket", seed=seed, where=where) as stack:
        client = Client(stack.endpoints)
        summary = client.tenant("GET", "/summary")
        found = Squeezed(Run("squeezed", members, scale, "bucket"), others_s)
        span: list[float] = []
        thread = threading.Thread(target=_take, args=(stack, client, scale, others_s, span))

        def report_it(run: Run, operation: dict[str, Any]) -> None:
            report_progress(run, operation)
            if operation["totals"]["wrote"] and not thread.is_alive() and not span:
                thread.start()

        path = f"/api/groups/{summary['groups']['main']}/assignLicense"
        measured(stack, client, found.run, path, adding(summary["skus"]["SPE_E3"]), report_it)
        thread.join(10)
        seconds = client.tenant("GET", "/metrics")["perSecond"]
        _read_off(found, seconds, span, WRITES_PER_S * scale)
        return found


def _take(stack: Stack, client: Client, scale: float, others_s: float, span: list[float]) -> None:
    """Fill the tenant's meter at once, then keep it nearly full."""
    time.sleep(10)
    span.append(time.time())
    client.tenant("POST", "/quota", {"othersWrites": round(300 * TENANT_WRITES_PER_S * scale)})
    ending = time.monotonic() + others_s
    last = time.monotonic()
    while (now := time.monotonic()) < ending:
        client.tenant("POST", "/quota", {"othersWrites": (now - last) * TENANT_WRITES_PER_S * scale * OTHERS_SHARE})
        last = now
        time.sleep(0.2)
    span.append(time.time())


def _read_off(found: Squeezed, seconds: list[list[int]], span: list[float], rate: float) -> None:
    began, ended = span
    writes = {at: (done, rejected) for at, done, rejected in seconds}
    first, last = seconds[0][0], seconds[-1][0]
    for name, start, end in (("before", first, began), ("during", began, ended), ("after", ended, last)):
        whole = range(int(start) + 1, int(end))
        found.rates[name] = round(sum(writes.get(at, (0, 0))[0] for at in whole) / max(1, len(whole)), 1)
    found.throttled_during = sum(writes.get(at, (0, 0))[1] for at in range(int(began), int(ended) + 1))
    for at in range(int(ended) + 1, last - 9):
        if sum(writes.get(each, (0, 0))[0] for each in range(at, at + 10)) >= 0.9 * rate * 10:
            found.recovered_after_s = round(at - ended, 1)
            return
