"""The whole attack: the kinds in their order, on a stack of its own each time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from azure.core.exceptions import AzureError

from local.client import CallError
from tests.attack import deciding, doors, engines, hr, limits, records, rights, webhook
from tests.attack.arena import Arena, Bar, attacking
from tests.attack.results import Results

Try = Callable[[Arena], None]


@dataclass(frozen=True)
class Kind:
    """`short`: also in the short form."""

    name: str
    attempt: Try
    short: bool = True


KINDS = (
    Kind(doors.ROUTES, doors.try_routes),
    Kind(doors.PATHS, doors.try_paths),
    Kind(doors.CSRF, doors.try_other_sites),
    Kind(doors.SESSIONS, doors.try_sessions),
    Kind(webhook.WEBHOOK, webhook.try_webhook),
    Kind(deciding.APPROVALS, deciding.try_approvals),
    Kind(deciding.PROFILES, deciding.try_profiles),
    Kind(engines.MOVES, engines.try_moves, short=False),
    Kind(engines.NATIVE, engines.try_native),
    Kind(rights.FIRST_CONTACT, rights.try_first_contact),
    Kind(rights.ALLOWANCE, rights.try_allowance),
    Kind(rights.STOPPED, rights.try_stopping),
    Kind(hr.HR, hr.try_senders),
    Kind("claims", records.try_claims),
    Kind("previews", limits.try_previews, short=False),
    Kind("changes", limits.try_changes, short=False),
    Kind("reads", limits.try_reads, short=False),
    Kind("broken events", limits.try_broken_events, short=False),
    Kind("bodies", limits.try_bodies),
    Kind("rejections", limits.try_rejections),
    # Hours and days pass from here on.
    Kind("tampering", records.try_tampering),
    Kind(hr.HELD, hr.try_leavers),
    Kind(deciding.EXPIRED, deciding.try_expiry, short=False),
)

ALONE = Kind(deciding.ALONE, deciding.try_alone, short=False)
"""On a stack with one administrator."""


def attack(*, every: int = 1, short: bool = False, only: frozenset[str] = frozenset(), bar: Bar) -> Results:
    """All attempts of the chosen kinds."""
    results = Results()
    kinds = [kind for kind in KINDS if (not short or kind.short) and (not only or kind.name in only)]
    alone = [kind for kind in (ALONE,) if (not short or kind.short) and (not only or kind.name in only)]
    for chosen, settings in ((kinds, {}), (alone, {"SINGLE_APPROVER": "true"})):
        if not chosen:
            continue
        with tempfile.TemporaryDirectory() as folder, attacking(Path(folder), every=every, settings=settings) as arena:
            arena.results, arena.bar = results, bar
            for kind in chosen:
                bar.begin(kind.name)
                try:
                    kind.attempt(arena)
                except (
                    AssertionError,
                    AzureError,
                    CallError,
                    OSError,
                    LookupError,
                ) as fault:  # the other kinds are tried too
                    results.must(kind.name, "the attempts could not be made", False, repr(fault))
    return results
