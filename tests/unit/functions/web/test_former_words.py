"""Rows of version 0.1 keep the words of that version, and are read as those of this one."""

from __future__ import annotations

import pytest

from functions.web.answers import note
from functions.web.pages import labels
from shared.domain.onboarding import GroupOutcome, LicenseOutcome
from shared.domain.operation import OperationKind, Phase

E3 = "05e9a617-0261-4cee-bb44-138d3ef5d965"
TEAMS = "57ff2da0-773e-42df-b2af-ffb7a2317929"


@pytest.mark.parametrize(
    ("kind", "stored", "word"),
    [
        (OperationKind, "adopt", "manage"),
        (OperationKind, "enable", "turnOnApps"),
        (Phase, "seal", "snapshot"),
        (Phase, "release", "dispatch"),
        (GroupOutcome, "Refused", "Rejected"),
        (LicenseOutcome, "WaitingForSeat", "WaitingForLicense"),
    ],
)
def test_a_stored_word_is_read_as_the_present_one(kind: type[Phase], stored: str, word: str) -> None:
    assert kind(stored) is kind(word)
    assert str(kind(stored)) == word
    with pytest.raises(ValueError, match="is not a valid"):
        kind("other")


@pytest.mark.parametrize(
    ("stored", "word"),
    [
        ("givenBySomebodyElse", "unmanaged"),
        ("foreignLicenseLacksPlans", "unmanagedLacksApps"),
        ("plansTurnedOnByHand", "appsTurnedOnManually"),
        ("plansTurnedOffByHand", "appsTurnedOffManually"),
        ("secondRead", "secondRead"),
    ],
)
def test_a_stored_note_has_the_present_code_in_the_api_and_its_words_on_the_page(stored: str, word: str) -> None:
    text = f"{stored} {E3} {TEAMS}"
    assert note(text) == {"kind": word, "skuId": E3, "servicePlanIds": [TEAMS], "message": None}
    assert labels.notes([text], {E3: "E3"}) == labels.notes([f"{word} {E3} {TEAMS}"], {E3: "E3"})
    assert note("left") == {"kind": "left", "skuId": None, "servicePlanIds": [], "message": None}


def test_a_note_that_is_a_text_is_shown_whole() -> None:
    text = "the user could not be read"
    assert note(text) == {"kind": "text", "skuId": None, "servicePlanIds": [], "message": text}
