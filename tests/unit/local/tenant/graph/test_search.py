"""$search in the simulated tenant: words of names as the page describes them, and what it rejects."""

from __future__ import annotations

import pytest

from local.tenant.graph.search import words_of
from tests.support.graph_schema import validate
from tests.unit.local.tenant.calls import ANN, BOB, CEM, a_tenant, a_user, ask
from tests.unit.local.tenant.nested import EVENTUAL, ids

BY_NAME = '"displayName:ann"'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello world", {"hello", "world"}),
        ("HelloWorld", {"hello", "world"}),
        ("helloWORLD", {"hello", "world"}),
        ("HELLOworld", {"helloworld"}),
        ("HelloWORld", {"hello", "world"}),
        ("hello.world", {"hello", ".", "world", "helloworld"}),
        ("hello123world", {"hello", "123", "world"}),
    ],
)
def test_a_text_is_split_as_the_page_says(text: str, words: set[str]) -> None:
    assert words_of(text) == words


async def found(search: str) -> set[str]:
    tenant = a_tenant(
        users=[
            a_user(ANN, displayName="Ann Berg-Haas", userPrincipalName="ann@fabrikam.example", employeeId="A/1"),
            a_user(BOB, displayName="Berg, Bob", userPrincipalName="bob@fabrikam.example", department="Sales"),
            a_user(CEM, displayName='Cem "CJ" Jung', userPrincipalName="berg3@fabrikam.example"),
        ]
    )
    _, body, _ = await ask(tenant, "GET", f"/users?$select=id&$search={search}", headers=EVENTUAL)
    validate(body, "user", ("id",))
    return ids(body)


@pytest.mark.parametrize(
    ("search", "people"),
    [
        ('"displayName:berg"', {ANN, BOB}),
        ('"displayName:haas ann"', {ANN}),
        ('"displayName:berghaas"', {ANN}),
        ('"displayName:berg-haas"', {ANN}),
        ('"displayName:erg"', set()),
        ('"displayName:\\"CJ\\""', {CEM}),
        ('"displayName:berg" OR "userPrincipalName:berg"', {ANN, BOB, CEM}),
        ('"displayName:berg" AND ("mail:ann" OR "department:sal")', {ANN, BOB}),
        ('"mail:erg"', set()),
    ],
)
async def test_names_are_found_by_words_and_other_properties_by_their_beginning(search: str, people: set[str]) -> None:
    assert await found(search) == people


@pytest.mark.parametrize(
    "search",
    ["displayName:ann", '"ann"', '"shoeSize:4"', '"displayName:ann" or "mail:ann"', '("mail:a"', '"mail:a" OR'],
)
async def test_what_is_not_the_syntax_is_rejected(search: str) -> None:
    status, _, _ = await ask(a_tenant(), "GET", f"/users?$search={search}", headers=EVENTUAL)
    assert status == 400


async def test_a_search_needs_the_header_for_advanced_queries() -> None:
    url = f"/users?$search={BY_NAME}"
    assert (await ask(a_tenant(), "GET", url))[0] == 400
    assert (await ask(a_tenant({"directorySearch": False}), "GET", url, headers=EVENTUAL))[0] == 400


async def test_clauses_of_a_filter_are_joined_with_or_and_words_in_quotes_are_no_operators() -> None:
    tenant = a_tenant(users=[a_user(ANN, displayName="Salt and Pepper"), a_user(BOB, employeeId="7"), a_user(CEM)])
    clauses = "startswith(displayName,'salt and') or employeeId eq '7' and accountEnabled eq true"
    assert ids((await ask(tenant, "GET", f"/users?$select=id&$filter={clauses}"))[1]) == {ANN, BOB}
