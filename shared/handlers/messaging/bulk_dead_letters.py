"""Replay or delete all dead letters of a filter, step by step: a kill in between loses none and counts none twice.

A step is a message on the queue `operations`. It stores which letters it is about to do, does them, and stores that
they are done.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import timedelta

from shared.domain.dead_letters import BulkAct, BulkKind, DeadLetterSelection
from shared.domain.errors import Conflict, NotFound, PoisonMessage
from shared.domain.ids import new_id
from shared.domain.initiator import Initiator
from shared.domain.messages import OPERATIONS, load_object
from shared.domain.read_models import AuditEntry
from shared.handlers.messaging.dead_letters import as_new
from shared.handlers.messaging.needs import Needs
from shared.ports.messaging import Outgoing

log = logging.getLogger(__name__)

STEP_DEAD_LETTERS = 100
"""Letters of one step: about a second, and at most 100 messages a second for the queues."""

PAUSE = timedelta(seconds=1)

NO_PROGRESS = timedelta(minutes=5)
"""An act that moved less recently gets its step again."""

TYPE = "bulkLettersStep"

ACTIVITIES = {BulkKind.REPLAY: "Replay messages", BulkKind.DELETE: "Delete messages"}


async def begin(world: Needs, kind: BulkKind, wanted: DeadLetterSelection, initiator: Initiator) -> BulkAct:
    """Start an act on the letters that are there now; those that come later are left alone."""
    now = world.clock.now()
    wanted = replace(wanted, until=min(wanted.until or now, now))
    act = BulkAct(new_id(now, world.token()), kind, wanted, initiator, now, now)
    await _record(world, act, "started")
    act = await world.stores.dead_letters.begin(act)
    await _send(world, act, timedelta(0))
    return act


async def find(world: Needs, act_id: str) -> BulkAct:
    """Raises NotFound."""
    found = await world.stores.dead_letters.act(act_id)
    if found is None:
        raise NotFound(f"There is no bulk act {act_id}.")
    return found


def is_step(body: bytes) -> bool:
    """Whether a message of the queue is a step of such an act."""
    return TYPE.encode() in body and load_object(body, "operations message").get("type") == TYPE


async def process_step(world: Needs, body: bytes) -> None:
    """Process the letters of one step. A duplicate or late message finds another step and returns. Raises
    PoisonMessage, Unavailable, and Conflict if another worker does the same step."""
    fields = load_object(body, "operations message")
    try:
        act_id, step = str(fields["actId"]), int(fields["step"])
        int(act_id, 16)
    except (KeyError, TypeError, ValueError) as fault:
        raise PoisonMessage(f"operations message: {fault!r}") from fault
    act = await world.stores.dead_letters.act(act_id)
    if act is None or not act.is_open:
        return
    if step == act.step - 1:
        # The process died between saving the step and sending the next one.
        await _send(world, act, timedelta(0))
    if step != act.step:
        return
    if not act.doing and act.after is not None:
        dead_letters, after = await world.stores.dead_letters.page(STEP_DEAD_LETTERS, act.after or None, act.wanted)
        act = await world.stores.dead_letters.save_act(act.began_step(tuple(each.id for each in dead_letters), after))
    act = act.ended_step(await _do(world, act), world.clock.now())
    if not act.is_open:
        await _record(world, act, f"done {act.done}, left {act.left}")
    act = await world.stores.dead_letters.save_act(act)
    if act.is_open:
        await _send(world, act, PAUSE)


async def _do(world: Needs, act: BulkAct) -> int:
    """Do the letters of the step that are still there. Returns how many cannot be replayed."""
    found = [await world.stores.dead_letters.get(dead_letter_id) for dead_letter_id in act.doing]
    dead_letters = [dead_letter for dead_letter in found if dead_letter is not None]
    left = [dead_letter for dead_letter in dead_letters if act.kind is BulkKind.REPLAY and not dead_letter.whole]
    chosen = [dead_letter for dead_letter in dead_letters if dead_letter not in left]
    if act.kind is BulkKind.REPLAY and chosen:
        await world.queue.send([Outgoing(dead_letter.queue, as_new(dead_letter.body)) for dead_letter in chosen])
    for dead_letter in chosen:
        await world.stores.dead_letters.remove(dead_letter.id)
    return len(left)


async def continue_stopped(world: Needs) -> int:
    """The watchdog: send the step of every act without progress. Returns how many."""
    now, sent = world.clock.now(), 0
    for act in await world.stores.dead_letters.open_acts():
        if now - act.progress_at < NO_PROGRESS:
            continue
        try:
            # Another message id, so that duplicate detection does not swallow it.
            act = await world.stores.dead_letters.save_act(replace(act, step=act.step + 1, progress_at=now))
        except Conflict:
            continue
        log.warning("bulk act stood still id=%s done=%d", act.id, act.done)
        await _send(world, act, timedelta(0))
        sent += 1
    return sent


async def _send(world: Needs, act: BulkAct, pause: timedelta) -> None:
    body = json.dumps({"v": 1, "type": TYPE, "actId": act.id, "step": act.step}).encode()
    at = world.clock.now() + pause if pause else None
    await world.queue.send([Outgoing(OPERATIONS, body, f"{act.id}-{act.step}", at)])


async def _record(world: Needs, act: BulkAct, progress: str) -> None:
    """The text of the filter is left out: it can be a name, and readers of the audit log are not shown those."""
    wanted = act.wanted
    said = {"queue": wanted.queue, "kind": wanted.kind, "text": "..." if wanted.text else ""}
    named = ", ".join(f"{name} {value}" for name, value in said.items() if value) or "all"
    entry = AuditEntry(
        f"{act.id}-{'end' if not act.is_open else 'start'}",
        act.completed_at or act.created_at,
        ACTIVITIES[act.kind],
        act.initiator,
        "success",
        detail=f"{named}: {progress}",
    )
    await world.stores.audit.append([entry])
