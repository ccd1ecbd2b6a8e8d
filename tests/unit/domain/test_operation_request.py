"""The fingerprint of a request: the same for a repeat, also after an upgrade, and different for anything else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from shared.domain.assignment import AssignmentOptions, OptionsChange
from shared.domain.directory import AssignedLicense
from shared.domain.ids import GroupId, ServicePlanId, SkuId, UserId
from shared.domain.initiator import Initiator
from shared.domain.operation import LicenseChange, Target
from shared.domain.operation_request import OperationRequest, fingerprint, former_fingerprint

GROUP = Target(GroupId("00000000-0000-0000-0000-000000000384"))
E3, E5 = SkuId("05e9a617-0261-4cee-bb44-138d3ef5d965"), SkuId("06ebc4ee-1bb5-47dd-8120-11324bc54e06")
PLAN = ServicePlanId("9aaf7827-d63c-4b61-89c3-182f06f82e5c")
ADD = LicenseChange((AssignedLicense(E5), AssignedLicense(E3, frozenset({PLAN}))))
ASSIGN = OperationRequest(GROUP, Initiator("ada", "Ada"), ADD)
EXCLUDED = frozenset(GroupId(f"{first}0000000-0000-4000-8000-000000000001") for first in "ba")
EVERY_OPTION = AssignmentOptions(
    "DE", True, True, False, False, EXCLUDED, timedelta(hours=36), True, 5, 300, "The term ends"
)


def asks(change: LicenseChange, target: Target = GROUP, *, preview: bool = False) -> OperationRequest:
    return replace(ASSIGN, change=change, target=target, preview=preview, reprocess=change == LicenseChange())


@pytest.mark.parametrize(
    ("request_", "stored"),
    [
        (ASSIGN, "98c1d971c68e781b5a67125958a5c286bdd1c09c9c82399b5ef1595335c50c96"),
        (
            asks(LicenseChange((AssignedLicense(E3),), (E5,)), preview=True),
            "d96fa1c1be0d38d21b36aa8708a6e2ddfc47c04954cc97290841c3a1c7ccb71c",
        ),
        (
            asks(LicenseChange(remove=(E3,)), Target(user_ids=(UserId("b"), UserId("a")))),
            "2bc93a1b51667ad7fb389626c51bf66a23e8d3a680763e112e6adc8a6032714a",
        ),
        (asks(LicenseChange()), "fac833a10b9e865d6a8ce141cf9c0f15ef99c132a192f8beb6044b9bac5c9d83"),
        (asks(LicenseChange(manage=(E5, E3))), "b12d79d8b21377d59b0f0d3424270c37476be5bafa83f4bb28f3eda354cb9b17"),
        (asks(LicenseChange(enable=(E3,))), "7d58164ac84077b83649abab6e67d57e37acfdf2bb88c035ef9fa9977bd54dff"),
    ],
)
def test_a_request_without_options_has_the_fingerprint_that_former_versions_stored(
    request_: OperationRequest, stored: str
) -> None:
    assert fingerprint(request_) == stored


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        (AssignmentOptions(), "dbe0d09aa372e1234fcdb42c209179d0c7b58c2575e552ef1884d3f54bd6df80"),
        (
            AssignmentOptions(usage_location="AT", grace=timedelta(days=7)),
            "f3204483cac7d6f7fcf373f06633b357be662b42c33d4ddaad7bc54ceab03695",
        ),
        (EVERY_OPTION, "b134d525f2a528086bd72d0b0dd7a41c0d2ec8e2265a8902497738711ff5f573"),
    ],
)
def test_what_former_versions_stored_for_a_request_with_options_is_known(
    options: AssignmentOptions, stored: str
) -> None:
    assert former_fingerprint(ASSIGN, options) == stored


@dataclass(frozen=True, slots=True)
class OptionsOfANewerVersion(AssignmentOptions):
    new: bool = False
    newer: frozenset[str] = frozenset()


def test_a_new_option_changes_neither_fingerprint_of_a_request_that_does_not_set_it() -> None:
    old = AssignmentOptions(usage_location="AT", grace=timedelta(days=7))
    newer = OptionsOfANewerVersion(usage_location="AT", grace=timedelta(days=7))
    full, now_full = (replace(ASSIGN, change=replace(ADD, options=options)) for options in (old, newer))
    assert fingerprint(full) == fingerprint(now_full)
    assert former_fingerprint(ASSIGN, old) == former_fingerprint(ASSIGN, newer)
    assert fingerprint(replace(ASSIGN, change=replace(ADD, options=replace(newer, new=True)))) != fingerprint(full)
    # The stored form of both, so that an edit of the code cannot change it unnoticed.
    assert fingerprint(full) == "7de79a8da74e3ef1cb2293ca999137d03ea47bcf189fd968ebe6b31cabdddc49"
    named = replace(ASSIGN, options=OptionsChange({"grace": timedelta(0), "priority": 3}))
    assert fingerprint(named) == "9c6f930d7dab82404b77e758c1b4549ba5009c937f990860cb549aa78d14939a"


def test_requests_that_set_different_options_differ_also_where_they_set_a_default() -> None:
    default = AssignmentOptions()
    named = [
        {},
        *({name: getattr(default, name)} for name in AssignmentOptions.__slots__),
        *({name: getattr(EVERY_OPTION, name)} for name in AssignmentOptions.__slots__),
    ]
    requests = [ASSIGN, *(replace(ASSIGN, options=OptionsChange(each)) for each in named)]
    requests += [replace(ASSIGN, change=replace(ADD, options=each)) for each in (default, EVERY_OPTION)]
    assert len({fingerprint(request) for request in requests}) == len(requests)


def test_the_order_of_options_and_of_their_values_is_no_difference() -> None:
    one, two = ({"priority": 1, "excluded_groups": EXCLUDED}, {"excluded_groups": frozenset(sorted(EXCLUDED))})
    first, second = OptionsChange(one), OptionsChange({**two, "priority": 1})
    assert fingerprint(replace(ASSIGN, options=first)) == fingerprint(replace(ASSIGN, options=second))
