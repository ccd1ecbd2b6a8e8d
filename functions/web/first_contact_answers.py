"""Answers about the first-contact check."""

from __future__ import annotations

from functions.web.audit_answers import Json, moment_text
from shared.domain.errors import NotFound
from shared.domain.first_contact import Level, Run
from shared.domain.first_contact_assumptions import BY_NUMBER
from shared.domain.first_contact_load import load_result
from shared.ports.world import World

SHOWN = 50
"""Runs of the list."""


def run(found: Run) -> Json:
    """A run without its findings."""
    return {
        "id": found.id,
        "level": str(found.level),
        "state": str(found.state),
        "step": found.step or None,
        "requests": found.requests,
        "writes": found.writes,
        "fault": found.fault or None,
        "createdDateTime": moment_text(found.created_at),
        "completedDateTime": moment_text(found.completed_at),
        "changes": [
            {
                "number": each.number,
                "question": BY_NUMBER[each.number].question,
                "before": each.before,
                "after": each.after,
            }
            for each in found.changes
            if each.number in BY_NUMBER
        ],
    }


def whole_run(found: Run) -> Json:
    """A run with its findings. A consequence is shown only where the tenant differs from the assumption."""
    findings = [row(each.number, found) for each in found.findings if each.number in BY_NUMBER]
    return {**run(found), "load": load(found), "findings": findings}


def load(found: Run) -> Json | None:
    """Results of the writes of a load run; None for other runs, and before the first write."""
    result = load_result(found.observations) if found.level is Level.LOAD else None
    if result is None:
        return None
    return {
        "acceptedAtOnce": result.at_once,
        "rejectedAsConcurrent": result.rejected,
        "throttled": result.throttled,
        "secondsOfOne": result.one_s,
        "secondsOfTwenty": result.twenty_s,
    }


def row(number: int, found: Run) -> Json:
    assumption, finding = BY_NUMBER[number], found.finding(number)
    verdict = str(finding.verdict) if finding is not None else "unknown"
    return {
        "number": number,
        "question": assumption.question,
        "triedBy": str(assumption.tried),
        "assumed": list(assumption.assumed),
        "verdict": verdict,
        "position": (finding.position or None) if finding is not None else None,
        "consequence": (assumption.otherwise or None) if verdict == "otherwise" else None,
    }


async def run_named(world: World, run_id: str) -> Run:
    """Raises NotFound."""
    run = await world.stores.first_contact.get(run_id)
    if run is None:
        raise NotFound(f"There is no first-contact run {run_id}.")
    return run
