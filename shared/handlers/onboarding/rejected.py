"""Rejected events of the queue. Their sender gets no answer, so they are kept as dead letters, within a limit. The
mistake of one HR system must neither fill the table nor hide the messages of others."""

from __future__ import annotations

import logging

from shared.domain.grant import Source, SourceKind
from shared.domain.hr_senders import BY_QUEUE
from shared.domain.messages import ONBOARDING
from shared.domain.read_models import DeadLetterKind
from shared.handlers.messaging.settlement import MAX_REASON, dead_letter_message
from shared.handlers.onboarding.hr_scope import senders
from shared.handlers.onboarding.needs import Needs
from shared.handlers.reconcile.permits import take_up_to

DEAD_LETTERS_A_DAY = 100
"""Dead letters of one source in 24 hours: more than a person repairs by hand, and the log has the reason of each."""

UNBOUND = "others"
"""Counted together: sources that do not come by the queue, and messages without a readable source. Otherwise a sender
could evade the limit with ever new names."""

log = logging.getLogger(__name__)


async def keep_rejected(world: Needs, body: bytes, source: object, reason: str, logged: str) -> None:
    """Keep a message of the queue as a dead letter. `logged`: the reason without values. Beyond the limit it is only
    logged. Raises Unavailable; then the message comes again."""
    bound = isinstance(source, str) and (source, BY_QUEUE) in (await senders(world)).pairs
    counted = Source(SourceKind.HR, f"letters {source}" if bound else f"letters {UNBOUND}")
    if await take_up_to(world, counted, 1, DEAD_LETTERS_A_DAY):
        await dead_letter_message(world, ONBOARDING, body, reason, logged, kind=DeadLetterKind.UNREADABLE)
        return
    text = "message from onboarding is not kept: over %d dead letters of its source in 24 hours: %s"
    log.error(text, DEAD_LETTERS_A_DAY, logged[:MAX_REASON])
