"""Writing to users through Graph: license assignments and usage locations, up to 20 users in one $batch.

Nothing is tried again here. Each user's answer says whether the write was done, was not done, or may have been done:
the last is never guessed into one of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.adapters.graph import GraphClient, Json, NoAnswer, NotSent, Reply, describe, error_of
from shared.adapters.graph_batch import PATH, Item, ItemReply, answers, envelope, segment
from shared.domain.ids import UserId
from shared.ports.graph_writes import Accepted, LicenseCall, Rejected, Throttled, Unanswered, WriteResult

THROTTLED_S = 10.0
"""The wait after a 429 without `Retry-After`, doubled each time in a row (learn.microsoft.com/graph/throttling asks for
an exponential back-off then)."""

LONGEST_THROTTLED_S = 160.0

NOT_SENT_S = 5.0
"""When to try again after no connection could be opened; nothing was written."""

SCOPE = "x-ms-throttle-scope"


class GraphLicenseWriter:
    """Writes as the app."""

    def __init__(self, graph: GraphClient) -> None:
        self._graph = graph
        self._bare_throttles = 0

    async def assign(self, calls: Mapping[UserId, LicenseCall], *, urgent: bool) -> Mapping[UserId, WriteResult]:
        """One assignLicense per user (learn.microsoft.com/graph/api/user-assignlicense)."""
        return await self._write(
            list(calls),
            [
                Item("POST", f"/users/{segment(user_id)}/assignLicense", _license_body(call), _priority(urgent))
                for user_id, call in calls.items()
            ],
            urgent,
        )

    async def set_usage_locations(
        self, locations: Mapping[UserId, str], *, urgent: bool
    ) -> Mapping[UserId, WriteResult]:
        """`usageLocation` of each user, an ISO 3166 two-letter code (learn.microsoft.com/graph/api/user-update)."""
        return await self._write(
            list(locations),
            [
                Item("PATCH", f"/users/{segment(user_id)}", {"usageLocation": location}, _priority(urgent))
                for user_id, location in locations.items()
            ],
            urgent,
        )

    async def _write(
        self, user_ids: Sequence[UserId], items: Sequence[Item], urgent: bool
    ) -> Mapping[UserId, WriteResult]:
        if not items:
            return {}
        body = envelope(items)
        priority = _priority(urgent)["x-ms-throttle-priority"]
        try:
            reply = await self._graph.send(PATH, body, priority=priority)
        except NotSent:
            return dict.fromkeys(user_ids, Throttled(NOT_SENT_S))
        except NoAnswer as lost:
            return dict.fromkeys(user_ids, Unanswered(str(lost)))
        return self._results(user_ids, reply)

    def _results(self, user_ids: Sequence[UserId], reply: Reply) -> Mapping[UserId, WriteResult]:
        if not (reply.ok or reply.status == 424):
            return dict.fromkeys(user_ids, self._whole(reply))
        try:
            replies = answers(reply, len(user_ids))
        except NoAnswer as lost:
            return dict.fromkeys(user_ids, Unanswered(str(lost)))
        bare = any(each is not None and each.status == 429 and each.retry_after_s is None for each in replies)
        self._bare_throttles = self._bare_throttles + 1 if bare else 0
        return {user_id: self._result(each) for user_id, each in zip(user_ids, replies, strict=True)}

    def _whole(self, reply: Reply) -> WriteResult:
        """The batch as a whole was not carried out, or nobody knows."""
        scope = reply.headers.get(SCOPE, "")
        if reply.status == 429:
            self._bare_throttles = self._bare_throttles + 1 if reply.retry_after_s is None else 0
            return self._throttled(reply.retry_after_s, scope)
        if reply.status == 503 and reply.retry_after_s is not None:
            return Throttled(reply.retry_after_s, scope)
        if 400 <= reply.status < 500 and reply.status != 408:
            code, message = _error_of(reply)
            return Rejected(reply.status, code, message or describe(reply, PATH))
        return Unanswered(describe(reply, PATH))

    def _result(self, reply: ItemReply | None) -> WriteResult:
        answer = answer_of(reply)
        if isinstance(answer, Throttled) and reply is not None and reply.retry_after_s is None:
            return self._throttled(None, answer.scope)
        return answer

    def _throttled(self, retry_after_s: float | None, scope: str) -> Throttled:
        if retry_after_s is None:
            doubled = THROTTLED_S * 2 ** min(max(0, self._bare_throttles - 1), 10)
            retry_after_s = min(doubled, LONGEST_THROTTLED_S)
        return Throttled(retry_after_s, scope)


def answer_of(reply: ItemReply | None) -> WriteResult:
    """What the answer to one write says of it."""
    if reply is None:
        return Unanswered("the answer is missing from the batch")
    if reply.ok:
        return Accepted()
    scope = str(reply.headers.get(SCOPE, ""))
    match reply.status:
        case 429 | 424:  # 424 says that an item did not run; there are no dependencies, so it was held back
            return Throttled(THROTTLED_S if reply.retry_after_s is None else reply.retry_after_s, scope)
        case 503 if reply.retry_after_s is not None:
            return Throttled(reply.retry_after_s, scope)
        case status if 400 <= status < 500 and status != 408:
            return Rejected(status, *reply.error)
        case _:
            return Unanswered(str(reply))


def _priority(urgent: bool) -> dict[str, str]:
    return {"x-ms-throttle-priority": "High" if urgent else "Low"}


def _license_body(call: LicenseCall) -> Json:
    return {
        "addLicenses": [
            {"skuId": license_.sku_id, "disabledPlans": sorted(license_.disabled_plans)} for license_ in call.add
        ],
        "removeLicenses": list(call.remove),
    }


def _error_of(reply: Reply) -> tuple[str, str]:
    try:
        return error_of(reply.json())
    except NoAnswer:
        return "", ""
