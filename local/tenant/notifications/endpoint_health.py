"""How well one endpoint answers, and what becomes of new notifications for it.

learn.microsoft.com/graph/change-notifications-delivery-webhooks, "Throttling": within 10 minutes, more than 10 % of
answers over 10 s make it slow, more than 15 % let new notifications drop.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum

WINDOW_SECONDS = 600.0
SLOW_SHARE = 0.10
DROP_SHARE = 0.15


class EndpointState(StrEnum):
    """What happens to new notifications: sent, sent 10 s later, or dropped."""

    GOOD = "good"
    SLOW = "slow"
    DROP = "drop"


class EndpointHealth:
    """Answers of the last ten minutes."""

    def __init__(self) -> None:
        self._answers: deque[tuple[float, bool]] = deque()
        self._slow = 0

    def record(self, now: float, *, slow: bool) -> None:
        """Count one answer; a missing one is slow."""
        self._answers.append((now, slow))
        self._slow += slow

    def state(self, now: float, window: float, minimum: int) -> EndpointState:
        """The state at this moment; below `minimum` answers nothing is judged."""
        while self._answers and self._answers[0][0] <= now - window:
            self._slow -= self._answers.popleft()[1]
        total = len(self._answers)
        if total < max(minimum, 1):
            return EndpointState.GOOD
        share = self._slow / total
        if share > DROP_SHARE:
            return EndpointState.DROP
        return EndpointState.SLOW if share > SLOW_SHARE else EndpointState.GOOD
