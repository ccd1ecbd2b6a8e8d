"""Every way that an HR event can end, or ask a person: its state, and the note and the remedy that HR and
administrators see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.onboarding import Account, OnboardingRecord, OnboardingState, PersonRef

DONE, DONE_WITH_ERRORS = OnboardingState.DONE, OnboardingState.DONE_WITH_ERRORS
FAILED, SUPERSEDED, CANCELLED = OnboardingState.FAILED, OnboardingState.SUPERSEDED, OnboardingState.CANCELLED
NEEDS_DECISION = OnboardingState.NEEDS_DECISION

ASKED_RETRY = timedelta(hours=25)
"""When a statement that needs a decision is judged again: HR or the directory may have answered the question. So late
that the timer finds it and no message is scheduled (`FARTHEST_MESSAGE`)."""


@dataclass(frozen=True, slots=True)
class End:
    state: OnboardingState
    note: str = ""
    remedy: str = ""


ACCOUNT_GONE = End(DONE, "The account is gone, and its licenses with it.")
ACCOUNT_LOST = End(
    DONE_WITH_ERRORS,
    "The account cannot be read any more, so it is unknown whether its licenses were assigned.",
    "If the account is there again, replay the event.",
)
NO_SUCH_ACCOUNT = End(
    DONE_WITH_ERRORS,
    "There is no such account, so nothing was taken away.",
    "If there should be one, correct the names and send a new event.",
)
UNKNOWN_EMPLOYMENT = End(
    DONE_WITH_ERRORS,
    "Nothing is known of the employment that the event names, and the person has another one. Nothing was taken away.",
    "If the person leaves the other one, send a new event with its employmentId.",
)
FORMER_EMPLOYEE = End(
    FAILED,
    "The account is disabled, and only a userPrincipalName fits it; it may be a former employee's.",
    "Name the person by object id or employeeId, or enable the account, then replay the event.",
)
NEWER_ACCOUNT = End(
    FAILED,
    "The account was created after the event came; it may be another person's of the same name.",
    "Name the person by object id or employeeId, in a new event.",
)
WHICH_EMPLOYMENT = End(
    NEEDS_DECISION,
    "The event names no employment, and the person has several.",
    "Send the event again with employmentId, then dismiss this one.",
)
MOVE_AFTER_END = End(
    NEEDS_DECISION,
    "The person has a new job on or after the day on which the employment ends.",
    "Carry the event out if the person stays. Dismiss it if the person leaves.",
)
NEVER_STARTED = End(
    NEEDS_DECISION,
    "The event names an employment that has not started, and the person has another one.",
    "Send the start if it is missing. Carry the event out if the person has both jobs. Otherwise dismiss it.",
)
POSTPONED = End(
    NEEDS_DECISION,
    "The start moves into the future after it was carried out. Nothing was removed.",
    "Carry the event out to accept the new day. Send a leaver event if the person must not work until then.",
)
STARTED_AGAIN = End(
    NEEDS_DECISION,
    "A newer statement starts the employment before the day on which this one ends it.",
    "Carry the event out if the end is still right. Dismiss it if the person stays.",
)
EXTENDED = End(
    NEEDS_DECISION,
    "The end moves into the future after it was carried out. Nothing was given back.",
    "Carry the event out to give back what was taken until the new day. Dismiss it if the person has left.",
)
REVIVED = End(
    NEEDS_DECISION,
    "The newer leaver event that replaced this one was cancelled.",
    "Carry the event out if the person leaves on this day. Dismiss it if the person stays.",
)


def finished(shortcomings: Iterable[str], remark: str = "", remedy: str = "") -> End:
    """The end of an event whose licenses are settled. `remark`: further information. `remedy`: for a shortcoming that
    is not shown with a license or a group."""
    wrong = " ".join(shortcomings)
    if wrong:
        return End(DONE_WITH_ERRORS, f"{wrong} {remark}".rstrip(), remedy or "See the licenses and groups.")
    return End(DONE, remark)


def superseded_record(record: OnboardingRecord, by: str, now: datetime) -> OnboardingRecord:
    """The record at its end, found again if the statement that counts instead is cancelled."""
    return replace(ended(record, superseded(by), now), superseded_by=by)


def released(keys: Iterable[str]) -> End:
    return End(DONE, f"Released {', '.join(keys)}.")


def superseded(by: str) -> End:
    return End(SUPERSEDED, f"A newer event of the same employment counts instead: {by}.")


def former(start: str) -> End:
    note = f"It ends an employment before the one that started with event {start}. Nothing was removed."
    return End(DONE, note)


def rescinded(keys: Iterable[str]) -> End:
    return End(DONE, f"Rescinded {', '.join(keys)}.")


def dismissed(by: str) -> End:
    return End(CANCELLED, f"Dismissed by {by}.")


def same_order(event_id: str) -> End:
    note = f"Event {event_id} has the same place in the order of its source and says something else."
    return End(NEEDS_DECISION, note, "Carry out the event that is right. The other one is then superseded.")


def contradiction(person: PersonRef, account: Account) -> End:
    has = f"employeeId {account.employee_id!r}" if account.employee_id else "no employeeId"
    note = f"{person} contradicts the only account that fits a part of it: {account.id} with {has}."
    return End(FAILED, note, "Correct the identifiers of the person, in a new event.")


def unknown_identifier(employee_id: str, account: str) -> End:
    note = f"No account has employeeId {employee_id!r}. The userPrincipalName fits account {account}, which has none."
    remedy = "Carry the event out if the account is this person's. Otherwise dismiss it and send a corrected event."
    return End(NEEDS_DECISION, note, remedy)


def disabled(account: str) -> End:
    note = f"Only a userPrincipalName fits, and account {account} is disabled; it may be another person's."
    remedy = "Carry the event out if the account is this person's. Otherwise dismiss it and send a corrected event."
    return End(NEEDS_DECISION, note, remedy)


def cancelled(by: str, outcome: str = "") -> End:
    return End(CANCELLED, f"Cancelled by {by}; {outcome}." if outcome else f"Cancelled by {by}.")


def given_back(by: str, missing: int) -> End:
    """Of a leaver that was cancelled after it began. `missing`: memberships that could not be given back."""
    if not missing:
        return cancelled(by, "what had been taken was given back")
    groups = "1 membership" if missing == 1 else f"{missing} memberships"
    note = f"Cancelled by {by}, but {groups} could not be given back."
    return End(DONE_WITH_ERRORS, note, "Repair what the groups say, then replay the event.")


def several_accounts(accounts: Iterable[Account]) -> End:
    shown = sorted(f"{each.user_principal_name} (object id {each.id})" for each in accounts)
    remedy = "Name the person by object id alone, in a new event."
    return End(FAILED, f"The identifiers fit {len(shown)} accounts: {', '.join(shown)}.", remedy)


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


def not_selectable(names: Iterable[str]) -> End:
    note = f"The event names {', '.join(names)}: not selectable, and the person's attributes do not match."
    remedy = "Correct the event, or have the profile made selectable. Then replay the event."
    return End(FAILED, note, remedy)


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


def asked(record: OnboardingRecord, question: End, now: datetime) -> OnboardingRecord:
    """The record, which waits for a person's decision."""
    again = now + ASKED_RETRY
    waits = replace(record, state=question.state, note=question.note, remedy=question.remedy, next_at=again)
    return replace(waits, updated_at=now)
