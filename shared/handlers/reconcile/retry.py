"""Users who must be reconciled again: when, how often at most, and in which message."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.directory import LicenseError
from shared.domain.graph_errors import remedy_for
from shared.domain.ids import UserId
from shared.domain.messages import ProcessUsers
from shared.domain.outcomes import ChunkOutcome, Failed, Problem, RetryAt, Unchanged, classify
from shared.handlers.reconcile.state import Case, Work
from shared.ports.messaging import Outgoing

MAX_ATTEMPTS = 8


MAX_AGE = timedelta(hours=24)
"""Refusals by Graph, and time, after which a retry becomes a visible error."""


ROUNDING = timedelta(seconds=2)
"""Users who go back within this time of each other share a message."""


GIVEN_UP_REMEDY = "The next sync tries again by itself; to try now, reprocess the user."


def bound_retries(work: Work, cases: Sequence[Case], now: datetime) -> dict[UserId, int]:
    """Turn retries over the limit into failures; returns the attempts of those that go back."""
    attempts: dict[UserId, int] = {}
    for case in cases:
        result = case.result
        if not isinstance(result, RetryAt):
            continue
        count = work.attempts.get(case.user_id, 0) + result.refused
        bounded = result.refused or result.unread
        too_old = work.first_sent_at is not None and bounded and now - work.first_sent_at > MAX_AGE
        if count >= MAX_ATTEMPTS or too_old:
            tried = "24 hours" if too_old else f"{count} attempts"
            text = f"Given up after {tried}: {result.why}"
            unavailable = result.error is LicenseError.UNAVAILABLE
            remedy = GIVEN_UP_REMEDY if unavailable else remedy_for(result.error)
            case.result = Failed((Problem(result.error, text, remedy),))
        else:
            attempts[case.user_id] = count
    return attempts


def outcomes_of(cases: Sequence[Case]) -> list[ChunkOutcome]:
    """What the chunk row keeps of each user."""
    return [
        ChunkOutcome(
            case.user_id,
            classify(case.result or Unchanged()),
            case.wrote,
            case.result.at if isinstance(case.result, RetryAt) else None,
        )
        for case in cases
    ]


def going_back(
    message: ProcessUsers, cases: Sequence[Case], attempts: Mapping[UserId, int], now: datetime
) -> list[Outgoing]:
    """Messages for users who are to be looked at again, those with about the same time together."""
    groups: dict[int, list[tuple[UserId, datetime, int]]] = defaultdict(list)
    for case in cases:
        if isinstance(case.result, RetryAt):
            # Who was written is mostly only looked at again.
            at, writes = case.result.at, 0 if case.wrote or case.plan is None else case.plan.write_count
            groups[int(at.timestamp() // ROUNDING.total_seconds())].append((case.user_id, at, writes))
    messages = []
    for users in groups.values():
        again = replace(
            message,
            user_ids=tuple(user for user, _, _ in users),
            attempts={user: attempts[user] for user, _, _ in users if attempts.get(user)},
            send=message.send + 1,
            first_sent_at=message.first_sent_at or now,
            writes=sum(writes for _, _, writes in users),
        )
        latest = max(at for _, at, _ in users)
        messages.append(Outgoing(again.queue, again.encode(), again.message_id, latest))
    return messages
