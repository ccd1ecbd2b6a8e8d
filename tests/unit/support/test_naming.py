"""The check of whole logs for names, addresses and tokens."""

from __future__ import annotations

import pytest

from tests.support.naming import named_in


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("user Ada Novak was read", ["a name"]),
        ("GET /users/ada.novak.7@fabrikam.example", ["a name", "an address"]),
        ("Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.e30.x", ["a token"]),
        ("work from members waits 2 s (time 1): user 6f2b1c9e-0000-4000-8000-00000000000a: 503", []),
    ],
)
def test_the_check_of_whole_logs_sees_names_addresses_and_tokens(line: str, what: list[str]) -> None:
    assert named_in(line) == what
