"""The result of each write in Graph's answer to a $batch: done, not done, or unknown.

An unknown result is never guessed. Nothing is tried again here, except a batch whose kept connection broke before an
answer: see `Repeat.IF_KEPT`. Graph may then have carried out the first attempt too, so a rejection of the second one
does not prove that nothing was written. Only an accepted second attempt counts, because the object then has the wanted
state in any case. Every other answer is as unknown as a missing one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime

from shared.adapters.graph import GraphClient, NoAnswer, NotSent, Reply, describe, error_of
from shared.adapters.graph_batch import PATH, Item, ItemReply, answers, envelope
from shared.adapters.graph_resets import Repeat
from shared.domain.backoff import Backoff
from shared.domain.graph_errors import is_contention
from shared.domain.write_results import (
    Accepted,
    Between,
    Contended,
    Rejected,
    Throttled,
    Unanswered,
    Unsent,
    WriteResult,
)

THROTTLED = Backoff(timedelta(seconds=10), timedelta(seconds=160))
"""The wait after a 429 without `Retry-After`. It is multiplied by two each time in a row, because
learn.microsoft.com/graph/throttling requires an exponential back-off."""

NOT_SENT_S = 5.0
"""When to try again after no connection could be opened; nothing was written."""

SCOPE = "x-ms-throttle-scope"

CLOCKS_OF_GRAPH = timedelta(seconds=10)
"""How far the clocks of Graph's servers may differ, and a `Date` has whole seconds; Graph states no figure, this one
is chosen."""


@dataclass(frozen=True, slots=True)
class ItemResult:
    """`own`: Graph answered this write, not only its batch as a whole."""

    result: WriteResult
    own: bool = False


class BatchWriter:
    """Sends writes, at most 20 at once, and remembers how often in a row Graph throttled them without naming a time."""

    def __init__(self, graph: GraphClient) -> None:
        self._graph = graph
        self._bare_throttles = 0

    async def write(self, items: Sequence[Item], *, priority: str) -> list[ItemResult]:
        """One result per write, in order. Raises ValueError for more than 20."""
        body = envelope(items)
        began = asyncio.get_running_loop().time()
        try:
            reply = await self._graph.send(PATH, body, priority=priority, repeat=Repeat.IF_KEPT)
        except NotSent:
            return [ItemResult(Unsent(NOT_SENT_S))] * len(items)
        except NoAnswer as lost:
            return [ItemResult(Unanswered(str(lost)))] * len(items)
        took = timedelta(seconds=asyncio.get_running_loop().time() - began)
        results, self._bare_throttles = read_results(reply, len(items), self._bare_throttles)
        between = between_of(reply, took)
        return [replace(each, result=_dated(each.result, between)) for each in results]


def between_of(reply: Reply, took: timedelta) -> Between | None:
    """The times by Graph's clock between which it worked on a call of this duration; None for an answer without `Date`.

    `Date` is when the answer was made (RFC 9110, section 6.6.1), which can be at its first or its last byte.
    """
    try:
        date = parsedate_to_datetime(reply.headers["date"])
    except (KeyError, ValueError):
        return None
    at = date if date.tzinfo else date.replace(tzinfo=UTC)
    return at - took - CLOCKS_OF_GRAPH, at + took + CLOCKS_OF_GRAPH


def _dated(result: WriteResult, between: Between | None) -> WriteResult:
    return replace(result, between=between) if isinstance(result, Accepted | Rejected | Contended) else result


def read_results(reply: Reply, count: int, bare_throttles: int) -> tuple[list[ItemResult], int]:
    """The results of `count` writes from the answer to their batch, and the number of answers in a row, this one
    included, that throttled without a time."""
    if not (reply.ok or reply.status == 424):  # 424: the throttling page lets a batch with throttled items fail whole
        if reply.status == 429:
            bare_throttles = bare_throttles + 1 if reply.retry_after_s is None else 0
        results = [ItemResult(_of_batch(reply, bare_throttles))] * count
    else:
        try:
            replies = answers(reply, count)
        except NoAnswer as lost:
            return [ItemResult(Unanswered(str(lost)))] * count, bare_throttles
        bare = any(each is not None and each.status == 429 and each.retry_after_s is None for each in replies)
        bare_throttles = bare_throttles + 1 if bare else 0
        results = [ItemResult(_of_item(each, bare_throttles), own=each is not None) for each in replies]
    return [_after_repeat(each) for each in results] if reply.repeated else results, bare_throttles


def _of_batch(reply: Reply, bare_throttles: int) -> WriteResult:
    """The batch as a whole was not carried out, or its result is unknown."""
    code, message = _error(reply)
    described = describe(reply, PATH)
    rejection = Rejected(reply.status, code, message or described)
    return _of_status(
        reply.status, reply.retry_after_s, reply.headers.get(SCOPE, ""), bare_throttles, rejection, described
    )


def _of_item(reply: ItemReply | None, bare_throttles: int) -> WriteResult:
    if reply is None:
        return Unanswered("the answer is missing from the batch")
    if reply.ok:
        return Accepted()
    scope = str(reply.headers.get(SCOPE, ""))
    if reply.status == 424:  # the item did not run; there are no dependencies, so it was held back
        return Throttled(_wait_s(reply.retry_after_s, bare_throttles), scope)
    rejection = Rejected(reply.status, *reply.error)
    return _of_status(reply.status, reply.retry_after_s, scope, bare_throttles, rejection, str(reply))


def _of_status(
    status: int, retry_after_s: float | None, scope: str, bare_throttles: int, rejection: Rejected, described: str
) -> WriteResult:
    match status:
        case _ if is_contention(status, rejection.code, rejection.message):
            return Contended(rejection.message or rejection.code, retry_after_s)
        case 429:
            return Throttled(_wait_s(retry_after_s, bare_throttles), scope)
        case 503 if retry_after_s is not None:
            return Throttled(retry_after_s, scope)
        case _ if 400 <= status < 500 and status != 408:
            return rejection
        case _:
            return Unanswered(described)


def _wait_s(retry_after_s: float | None, bare_throttles: int) -> float:
    if retry_after_s is not None:
        return retry_after_s
    return THROTTLED.after_tries(bare_throttles - 1).total_seconds()


def _after_repeat(answered: ItemResult) -> ItemResult:
    broke = "the connection to Graph broke, and the second attempt was rejected"
    match answered.result:
        case Accepted() | Unanswered() | Unsent():
            return answered
        case Rejected(status=status, message=message):
            return ItemResult(Unanswered(f"{broke}: {status} {message}"))
        case Contended(message=message):
            return ItemResult(Unanswered(f"{broke}: {message}"))
        case Throttled() as throttled:
            return ItemResult(Unanswered(f"{broke}: throttled", throttled))


def _error(reply: Reply) -> tuple[str, str]:
    try:
        return error_of(reply.json())
    except NoAnswer:
        return "", ""
