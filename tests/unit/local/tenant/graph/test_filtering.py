"""The parser of $filter: what it accepts, what each clause means, and which clauses are advanced."""

from __future__ import annotations

from typing import Any

import pytest

from local.tenant.call import GraphError
from local.tenant.graph.filtering import parsed
from tests.unit.local.tenant.calls import E3, E5

NAMES = frozenset({"displayName", "accountEnabled", "usageLocation", "createdDateTime", "assignedLicenses", "tags"})
ROW: dict[str, Any] = {
    "displayName": "Dee O'Hara and Sons",
    "accountEnabled": True,
    "usageLocation": None,
    "createdDateTime": "2026-01-05T09:00:00Z",
    "assignedLicenses": [{"skuId": E3}],
    "tags": ["Blue", "Red (old)"],
}


@pytest.mark.parametrize(
    ("raw", "expected", "advanced"),
    [
        ("displayName eq 'dee o''hara AND sons'", True, False),
        ("displayName in ('x', 'Dee O''Hara and Sons')", True, False),
        ("displayName ne 'x'", True, True),
        ("not displayName eq 'x'", True, True),
        ("not (accountEnabled eq true)", False, True),
        ("usageLocation eq null", True, False),
        ("usageLocation ge 'A'", False, False),
        ("createdDateTime ge 2026-01-05T09:00:00Z and createdDateTime le 2026-01-06T00:00:00Z", True, False),
        ("startsWith(displayName,'dee')", True, False),
        ("endswith(displayName, 'sons')", True, True),
        (f"assignedLicenses/any(x: x/skuId eq {E3})", True, False),
        (f"assignedLicenses/any(x:x/skuId eq {E5})", False, False),
        (f"not(assignedLicenses/any(x:x/skuId eq {E5}))", True, True),
        ("assignedLicenses/any()", True, False),
        ("assignedLicenses/$count eq 1", True, True),
        ("tags/any(t:t eq 'red (old)')", True, False),
        ("tags/any(t:startswith(t,'gr'))", False, False),
        ("displayName eq 'x' or accountEnabled eq true and usageLocation eq null", True, False),
        ("(displayName eq 'x' or accountEnabled eq true) and usageLocation eq 'DE'", False, False),
    ],
)
def test_a_filter_means_what_odata_says(raw: str, expected: bool, advanced: bool) -> None:
    found = parsed(raw, NAMES)
    assert (found.test(ROW.get), found.advanced) == (expected, advanced)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "displayName",
        "displayName eq",
        "displayName eq 'x' and",
        "displayName gt 'x'",
        "shoeSize eq 44",
        "(displayName eq 'x'",
        "displayName eq 'x')",
        "displayName eq 'x",
        "contains(displayName,'x')",
        "tags/all(t:t eq 'x')",
        "tags/any(t:u eq 'x')",
        "displayName in 'x'",
        "displayName eq ;",
    ],
)
def test_what_is_not_supported_is_rejected(raw: str) -> None:
    with pytest.raises(GraphError) as rejected:
        parsed(raw, NAMES)
    assert (rejected.value.status, rejected.value.code) == (400, "Request_UnsupportedQuery")


def test_fifteen_alternatives_are_the_most() -> None:
    parsed(" or ".join(["accountEnabled eq true"] * 15), NAMES)
    with pytest.raises(GraphError, match="Too many child clauses"):
        parsed(" or ".join(["accountEnabled eq true"] * 16), NAMES)
