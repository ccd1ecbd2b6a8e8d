"""What is said in words: audit entries, lengths of time, plans; codes without a word stay as they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from functions.web.pages import labels
from functions.web.pages.audit import ACTIVITIES
from shared.domain import audit
from shared.domain.directory import LicenseError
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import UserId
from shared.domain.initiator import Initiator, InitiatorKind
from shared.domain.member_rows import NOT_TO_BE_LICENSED
from shared.domain.member_status import MemberState
from shared.domain.onboarding import HrEventType, OnboardingState, PersonRef
from shared.domain.operation import OperationKind, OperationState
from shared.domain.outcomes import OutcomeClass
from shared.domain.plan import WAITS
from shared.domain.plan_draft import NoteKind
from shared.domain.snapshot_pages import LEFT

E3, E5 = "05e9a617-0261-4cee-bb44-138d3ef5d965", "06ebc4ee-1bb5-47dd-8120-11324bc54e06"
NAMES = {E3: "Microsoft 365 E3"}


def test_every_code_that_people_may_see_has_a_word() -> None:
    assert labels.STATE_WORDS.keys() == set(OperationState)
    assert labels.MEMBER_WORDS.keys() == set(MemberState)
    assert labels.ERROR_WORDS.keys() == set(LicenseError)
    assert labels.KIND_WORDS.keys() == set(OperationKind)
    assert labels.OUTCOME_WORDS.keys() == set(OutcomeClass)
    assert labels.EXPECTED_WORDS.keys() == set(OutcomeClass)
    assert labels.NOTE_WORDS.keys() == {*NoteKind, LEFT, NOT_TO_BE_LICENSED}
    assert labels.ENDING_WORDS.keys() == {kind for kind in SourceKind if Source(kind).keeps}
    assert labels.HR_EVENT_WORDS.keys() == set(HrEventType)
    assert labels.word(OnboardingState.NEEDS_DECISION) == "Needs a decision"
    assert labels.word("SomethingNew") == "SomethingNew"


def test_every_activity_that_is_offered_for_a_search_is_one_that_is_recorded() -> None:
    shared = Path(audit.__file__).parent.parent
    code = "".join(path.read_text() for path in shared.rglob("*.py"))
    assert [each for each in ACTIVITIES if f'"{each}"' not in code] == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (f'{{"{E3}":null}}', f'{{"{E3}":[]}}', ["Microsoft 365 E3 added"]),
        ("", f'{{"{E3}":["a","b"]}}', ["Microsoft 365 E3 added, 2 plans off"]),
        (f'{{"{E3}":["a"]}}', f'{{"{E3}":[]}}', ["Microsoft 365 E3: 1 plan off to all on"]),
        (f'{{"{E3}":[],"{E5}":[]}}', f'{{"{E5}":null}}', ["Microsoft 365 E3 removed", f"{E5} removed"]),
        (f'{{"{E3}":[]}}', f'{{"{E3}":[]}}', []),
        (
            '{"grace":"P0D","includeGuests":true,"excludedGroups":[]}',
            '{"grace":"P7D","includeGuests":false,"excludedGroups":["a","b"]}',
            ["excludedGroups: none to a, b", "grace: P0D to P7D", "includeGuests: yes to no"],
        ),
        ("", "", []),
        ("not json", "", ["was not json"]),
        ("NeedsDecision", "", ["was Needs a decision"]),
        (
            '{"removalAllowanceReason":""}',
            '{"removalAllowanceReason":"Trainees"}',
            ["removalAllowanceReason: none to Trainees"],
        ),
        ("[]", "7", ["[] to 7"]),
    ],
)
def test_what_changed_is_told_in_words(before: str, after: str, said: list[str]) -> None:
    assert labels.changes(before, after, NAMES) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "less than a minute"),
        (59, "less than a minute"),
        (90, "about 2 min"),
        (5000, "about 83 min"),
        (7000, "about 2 h"),
        (400_000, "about 5 days"),
    ],
)
def test_a_length_of_time_is_told_roughly(seconds: int, said: str) -> None:
    assert labels.span(timedelta(seconds=seconds)) == said


def test_how_long_it_takes_is_said_only_where_it_is_known() -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    assert labels.left(None, now) == ""
    assert labels.left(now + timedelta(minutes=4), now) == "about 4 min left"


def test_a_service_has_a_short_name_and_people_their_own() -> None:
    assert labels.who(Initiator("1", E3)) == "Service 05e9a617"
    assert labels.who(Initiator("2", "ada@contoso.example")) == "ada@contoso.example"


def test_notes_name_their_product_in_words() -> None:
    found = labels.notes((f"CountViolation {E3}", "Permission", f"inGrace {E5}", "left"), NAMES)
    assert found == [
        "Microsoft 365 E3: Not enough licenses",
        "The app lacks a permission",
        f"{E5}: in grace",
        "left the group",
    ]


def test_notes_of_a_member_name_one_product_and_say_once_why_a_removal_waits() -> None:
    assert labels.notes(("the directory does not show yet what was written",), NAMES) == [
        "the directory does not show yet what was written"
    ]
    assert labels.member_notes((WAITS, f"appsTurnedOffManually {E3} {E5}"), NAMES) == [
        "Microsoft 365 E3: plans were turned off by hand"
    ]
    assert labels.member_notes((WAITS,), NAMES) == [WAITS]


def test_an_audit_entry_names_its_cause_in_words() -> None:
    assert labels.found_by("Found by sync") == "Found by a full read of the group"
    assert labels.found_by("Found by something") == "Found by something"
    assert labels.found_by("for group Sales") == "for group Sales"


def test_a_person_is_named_by_every_identifier_of_the_event() -> None:
    assert labels.person(PersonRef(UserId("1"), "4711", "ada@contoso.example")) == (
        "object ID 1, employee ID 4711, ada@contoso.example"
    )


def test_a_person_without_a_name_is_called_user() -> None:
    assert labels.who(Initiator(E3, E3)) == "User 05e9a617"
    assert labels.who(Initiator(E3, E3, InitiatorKind.APP)) == "Service 05e9a617"
