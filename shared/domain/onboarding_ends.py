"""Every way that an HR event can end: its state, and the note and the remedy that HR and administrators see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.onboarding import OnboardingRecord, OnboardingState

DONE, DONE_WITH_ERRORS = OnboardingState.DONE, OnboardingState.DONE_WITH_ERRORS
FAILED, SUPERSEDED, CANCELLED = OnboardingState.FAILED, OnboardingState.SUPERSEDED, OnboardingState.CANCELLED


@dataclass(frozen=True, slots=True)
class End:
    state: OnboardingState
    note: str = ""
    remedy: str = ""


ACCOUNT_GONE = End(DONE, "The account is gone, and its licenses with it.")
NO_SUCH_ACCOUNT = End(
    DONE_WITH_ERRORS,
    "There is no such account, so nothing was taken away.",
    "If there should be one, correct the names and send a new event.",
)
FORMER_EMPLOYEE = End(
    FAILED,
    "The account was there before the event and is disabled; it may be a former employee's.",
    "Name the person by object id or employeeId, or enable the account, then replay the event.",
)
NEWER_ACCOUNT = End(
    FAILED,
    "The account was created after the event came; it may be another person's of the same name.",
    "Name the person by object id or employeeId, in a new event.",
)


def finished(shortcomings: Iterable[str]) -> End:
    """Of an event whose licenses are settled."""
    note = " ".join(shortcomings)
    return End(DONE_WITH_ERRORS, note, "See the licenses and groups.") if note else End(DONE)


def released(keys: Iterable[str]) -> End:
    return End(DONE, f"Released {', '.join(keys)}.")


def superseded(by: str) -> End:
    return End(SUPERSEDED, f"A later event of the same person counts instead: {by}.")


def cancelled(by: str, outcome: str = "") -> End:
    return End(CANCELLED, f"Cancelled by {by}; {outcome}." if outcome else f"Cancelled by {by}.")


def several_accounts(ids: Iterable[str]) -> End:
    ids = sorted(ids)
    remedy = "Name the person by object id alone, in a new event."
    return End(FAILED, f"The names fit {len(ids)} accounts: {', '.join(ids)}.", remedy)


def another_account(before: str, now: str) -> End:
    note = f"The names fitted account {before} before and fit {now} now."
    return End(FAILED, note, "Name the person by object id, in a new event.")


def not_a_user(kind: str) -> End:
    return End(FAILED, f"The id is of a {kind}, not of a user.", "Correct the id, in a new event.")


def no_account(fault: str, until: datetime) -> End:
    remedy = "Create the account or correct the names, then replay the event."
    return End(FAILED, f"{fault} until {until:%Y-%m-%d %H:%M} UTC.", remedy)


def no_leaver(until: datetime) -> End:
    return End(FAILED, f"No leaver event of the person came until {until:%Y-%m-%d}.", "Send the leaver event.")


def no_such_profile(names: Iterable[str]) -> End:
    remedy = "Create the profile or correct the event, then replay the event."
    return End(FAILED, f"There is no profile {', '.join(names)}.", remedy)


def nothing_to_give(attributes: Mapping[str, str]) -> End:
    shown = ", ".join(f"{name} {value!r}" for name, value in sorted(attributes.items())) or "none"
    note = f"No profile matches, and the event names no group (attributes: {shown})."
    return End(FAILED, note, "Create a profile that matches, then replay the event.")


def ended(record: OnboardingRecord, end: End, now: datetime) -> OnboardingRecord:
    """The record at its end, which is still to be announced."""
    return replace(
        record,
        state=end.state,
        note=end.note,
        remedy=end.remedy,
        next_at=None,
        updated_at=now,
        completed_at=now,
        announced=False,
    )
