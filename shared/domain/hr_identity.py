"""Whose account an HR event is about.

Identifiers have a strength: the object id, then employeeId, then userPrincipalName. A userPrincipalName is given to
another person later, so a weak name never overrules a strong one. Object ids are unique; employeeId is a text that an
administrator sets, and an account may have none (learn.microsoft.com/graph/api/resources/user).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain import onboarding_ends as ends
from shared.domain.onboarding import Account, HrEventType, OnboardingRecord, PersonRef
from shared.domain.onboarding_ends import End
from shared.domain.texts import normal_form

_REMOVES = (HrEventType.LEAVER, HrEventType.RELEASE)


@dataclass(frozen=True, slots=True)
class Identified:
    """The account, None if there is none yet. `end`: why it is not taken; it may be a question about `account`.
    `note`: on what the match rests, if that is a weak name."""

    account: Account | None = None
    end: End | None = None
    note: str = ""


def identify(record: OnboardingRecord, accounts: Sequence[Account]) -> Identified:
    """The account of a record among those that any of its names fits."""
    if not accounts:
        return Identified()
    if len(accounts) > 1:
        return Identified(end=ends.several_accounts(accounts))
    (account,) = accounts
    kind, person = record.event.type, record.event.person
    if record.user_id is not None and record.user_id != account.id:
        # The names fit another account than before: another person has them now, or HR corrected them.
        return Identified(end=ends.another_account(record.user_id, account.id))
    if record.user_id is not None and kind is not HrEventType.JOINER:
        # Known since the event arrived. The account's current names do not matter.
        return Identified(account)
    if _contradicts(person, account):
        # A userPrincipalName is used again after its owner left: one that fits outweighs no id that does not.
        return Identified(end=ends.contradiction(person, account))
    if _is_proven(person, account) or record.user_id is not None:
        # A joiner is looked for by its names each time, since its account may have been made again.
        return Identified(account)
    if not account.account_enabled:
        # Only a weak name fits, and its owner has left: a start would license a former employee.
        return Identified(account, ends.disabled(account.id) if kind in _REMOVES else ends.FORMER_EMPLOYEE)
    if person.employee_id and kind in _REMOVES:
        # No account has this employeeId. The owner of the weak name may be another person.
        return Identified(account, ends.unknown_identifier(person.employee_id, account.id))
    # An account made after the statement is not the leaver's. It has the leaver's former name.
    if kind is HrEventType.LEAVER and account.created_at is not None and account.created_at >= record.received_at:
        return Identified(end=ends.NEWER_ACCOUNT)
    note = f"Matched by userPrincipalName alone: the account has no employeeId {person.employee_id!r}."
    return Identified(account, note=note if person.employee_id else "")


def is_about(record: OnboardingRecord, account: Account) -> bool:
    """Whether another record counts among those of the account's person."""
    if record.user_id is not None:
        return record.user_id == account.id
    person = record.event.person
    if _contradicts(person, account):
        return False
    doubtful = record.event.type in _REMOVES and bool(person.employee_id) and not _is_proven(person, account)
    return not doubtful or bool(record.decided_by)


def may_be_same(one: PersonRef, other: PersonRef) -> bool:
    """Whether two references may be to one person, as far as names without an account say."""
    same_id = one.id is None or other.id is None or one.id == other.id
    employees = normal_form(one.employee_id), normal_form(other.employee_id)
    return same_id and (not all(employees) or employees[0] == employees[1])


def _contradicts(person: PersonRef, account: Account) -> bool:
    """Whether the account has another strong identifier than the one that is given."""
    if person.id is not None and person.id != account.id:
        return True
    given, has = normal_form(person.employee_id), normal_form(account.employee_id)
    return bool(given) and bool(has) and given != has


def _is_proven(person: PersonRef, account: Account) -> bool:
    given = normal_form(person.employee_id)
    return person.id == account.id or (bool(given) and given == normal_form(account.employee_id))
