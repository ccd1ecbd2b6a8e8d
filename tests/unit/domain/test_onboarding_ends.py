"""How an HR event waits or ends, decided from values alone."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.domain import onboarding_ends as ends
from shared.domain.hr_case import Judgement, Turn
from shared.domain.hr_identity import identify
from shared.domain.ids import UserId
from shared.domain.leaver_events import answer
from shared.domain.onboarding import (
    FARTHEST_MESSAGE,
    Account,
    HrEvent,
    HrEventType,
    Next,
    OnboardingRecord,
    OnboardingState,
    PersonRef,
)
from shared.domain.onboarding_ends import End, ended, superseded_record
from shared.domain.onboarding_order import Resolved, Waits, resolve

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ANN, BOB = UserId("1d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e"), UserId("1d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6f")
WAITS = Waits(lead=timedelta(0), account=timedelta(days=14), removal=timedelta(0))
MINE = Judgement(Turn.NOW)
J, L, R = HrEventType.JOINER, HrEventType.LEAVER, HrEventType.RELEASE
HANDLERS = Path(__file__).parents[3] / "shared" / "handlers" / "onboarding"


def record(kind: HrEventType = J, *, name: str = "ann@fabrikam.example") -> OnboardingRecord:
    event = HrEvent("1", "urn:hr", kind, PersonRef(user_principal_name=name), NOW, NOW.date())
    return OnboardingRecord(event, "{}", OnboardingState.RECEIVED, NOW, NOW, next_at=NOW)


def account(user_id: UserId = ANN, *, enabled: bool = True, created: datetime | None = None) -> Account:
    return Account(user_id, "ann@fabrikam.example", "", enabled, created, None)


ONE, OLD = (account(),), (account(enabled=False),)
NEW = (account(created=NOW + timedelta(days=1)),)
KNOWN = replace(record(), user_id=BOB)
CASES = [
    (record(), (account(BOB), account(ANN)), MINE, ends.several_accounts([account(ANN), account(BOB)])),
    (KNOWN, ONE, MINE, ends.another_account(BOB, ANN)),
    (record(), OLD, MINE, ends.FORMER_EMPLOYEE),
    (record(L), NEW, MINE, ends.NEWER_ACCOUNT),
    (record(L), (), MINE, ends.NO_SUCH_ACCOUNT),
    (replace(record(L), user_id=ANN), (), MINE, ends.ACCOUNT_GONE),
    (record(L), ONE, Judgement(Turn.FORMER, other="k"), ends.former("k")),
]


def decided(mine: OnboardingRecord, accounts: tuple[Account, ...], judgement: Judgement, at: datetime) -> Resolved:
    return resolve(mine, identify(mine, accounts), judgement, WAITS, at)


@pytest.mark.parametrize(("mine", "accounts", "judgement", "end"), CASES)
def test_how_an_event_ends_by_its_judgement_and_account(
    mine: OnboardingRecord, accounts: tuple[Account, ...], judgement: Judgement, end: End
) -> None:
    assert decided(mine, accounts, judgement, NOW).steps == (Next(ended(mine, end, NOW)),)


def test_a_superseded_event_wakes_the_one_that_counts_instead() -> None:
    found = decided(record(), ONE, Judgement(Turn.SUPERSEDED, other="k"), NOW)
    assert found.steps == (Next(superseded_record(record(), "k", NOW), wake=("k",)),)
    assert found.account is None


def test_an_event_waits_for_its_account_until_that_is_an_error() -> None:
    (found,) = decided(record(), (), MINE, NOW).steps
    assert (found.record.state, found.record.next_at) == (
        OnboardingState.WAITING_FOR_ACCOUNT,
        NOW + timedelta(seconds=5),
    )
    (found,) = decided(record(), (), MINE, NOW + WAITS.account).steps
    assert (found.record.state, found.record.next_at) == (OnboardingState.FAILED, None)


def test_an_event_whose_turn_it_is_gets_its_account() -> None:
    found = decided(record(), ONE, MINE, NOW)
    assert (found.steps, found.account) == ((), ONE[0])
    assert found.record == replace(record(), user_id=ANN)


def test_a_question_waits_longer_than_messages_are_scheduled_ahead() -> None:
    (found,) = decided(record(), ONE, Judgement(Turn.ASK, question=ends.REVIVED), NOW).steps
    assert found.record.state is OnboardingState.NEEDS_DECISION
    assert found.record.next_at is not None
    assert found.record.next_at - NOW > FARTHEST_MESSAGE


def test_a_release_wakes_its_leaver_and_ends() -> None:
    leaver, mine = record(L), record(R)
    going_on, done = answer(mine, identify(mine, ()), [leaver], None, WAITS, NOW)
    assert going_on == Next(replace(leaver, released=True, updated_at=NOW), wake=(leaver.key,))
    assert done == Next(ended(mine, ends.released([leaver.key]), NOW))


@pytest.mark.parametrize("question", [each for each in vars(ends).values() if isinstance(each, End)])
def test_whatever_needs_a_person_has_a_note_and_a_remedy(question: End) -> None:
    if question.state.needs_a_person:
        assert question.note
        assert question.remedy


def test_an_end_is_still_to_be_announced_and_comes_back_no_more() -> None:
    done = ended(replace(record(), announced=True), ends.finished(["1 license kept."]), NOW)
    assert (done.state, done.next_at, done.announced) == (OnboardingState.DONE_WITH_ERRORS, None, False)
    assert done.completed_at == NOW


def test_only_one_module_writes_records_and_hr_states() -> None:
    """The order of claim, save and announcement is decided there alone."""
    writers = set()
    for file in HANDLERS.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("save", "insert", "know"):
                on = node.value
                if isinstance(on, ast.Attribute) and on.attr in ("onboarding", "standings"):
                    writers.add(file.name)
    assert writers == {"records.py"}


def test_identifiers_that_fit_two_accounts_are_answered_with_names_that_people_know() -> None:
    found = identify(record(), [account(BOB), account(ANN)]).end
    assert found is not None
    assert f"ann@fabrikam.example (object id {ANN})" in found.note
