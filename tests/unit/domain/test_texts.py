"""Texts of HR systems, profiles and the directory compare in one form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.texts import normal_form, tidy


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("E-7", " e-7 "),
        ("\uff25\uff0d\uff17", "e-7"),
        ("Stra\u00dfe", "STRASSE"),
        ("a\u00a0 b", "A B"),
        ("e\u0301", "\u00c9"),
    ],
)
def test_two_ways_to_write_a_text_are_the_same(one: str, other: str) -> None:
    assert normal_form(one) == normal_form(other)
    assert tidy(one) == tidy(tidy(one))


@given(st.text(max_size=12))
def test_the_form_of_a_form_is_itself(text: str) -> None:
    assert normal_form(normal_form(text)) == normal_form(text)
    assert normal_form(tidy(text)) == normal_form(text)
