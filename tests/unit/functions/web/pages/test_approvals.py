"""The page and the API of approvals: who requested it, who is protected, who can approve, and what happens if not."""

from __future__ import annotations

import pytest

from shared.domain.initiator import Initiator, InitiatorKind
from shared.domain.operation import LicenseChange, Operation, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations.accept import accept
from tests.support.api_calls import PERSON, claims_of, session
from tests.support.pages import READER, browser
from tests.support.runs import SMALL, TEAM, Run, user


async def waiting_for(run: Run, requester: Initiator, size: int, *protected: int) -> Operation:
    """A removal of all that one person or application requested."""
    run.people(size)
    await run.change([SMALL])
    run.protect(*map(user, protected))
    change = LicenseChange(remove=(SMALL.sku_id,))
    return await run.finish(await accept(run.world, OperationRequest(Target(TEAM), requester, change)), approve=False)


async def test_the_page_says_who_requested_it_who_is_protected_and_what_happens_otherwise() -> None:
    run = Run()
    operation = await waiting_for(run, Initiator("mia", "Mia", channel="page"), 3, 1)
    async with browser(run) as page:
        text = (await page.get("/approvals")).text
        whole = (await page.get(f"/operations/{operation.id}")).text
    async with browser(run, READER) as page:
        as_reader = (await page.get("/approvals")).text
    for shown in (text, as_reader):
        assert "Mia" in shown
        assert "1 approval, not by the requester" in shown
        assert "Licensing.Approve" in shown
        assert "(Global Administrator)" in shown
        assert "Rejected on" in shown, "what happens if nobody decides"
        assert "2026-02-04" in shown, "thirty days after the snapshot was taken"
    assert "Approve the removals" in whole
    assert "Protected people" in whole


async def test_the_requester_sees_why_not_and_no_button() -> None:
    run = Run()
    requester = Initiator(PERSON, "Ada", channel="page")
    operation = await waiting_for(run, requester, 51)
    headers = {**session(claims_of(roles=["Licensing.ReadWrite"], tenant="tenant")), "accept": "text/html"}
    async with browser(run, headers) as page:
        whole = (await page.get(f"/operations/{operation.id}")).text
        listed = (await page.get("/approvals")).text
    for shown in (whole, listed):
        assert "You requested this, and 51 people would lose some: another person with the role" in shown
    assert "Approve the removals" not in whole
    assert "Reject, keep the licenses" in whole


ROBOT = Initiator("robot", "HR robot", InitiatorKind.APP)
MIA = Initiator("mia", "Mia")


@pytest.mark.parametrize(
    ("requester", "size", "protected", "needed", "alone"),
    [(MIA, 3, (1, 2), 1, False), (MIA, 60, (), 1, False), (MIA, 30, (), 1, True), (ROBOT, 3, (1,), 2, True)],
)
async def test_the_api_says_who_can_approve(
    requester: Initiator, size: int, protected: tuple[int, ...], needed: int, alone: bool
) -> None:
    run = Run()
    operation = await waiting_for(run, requester, size, *protected)
    async with browser(run, session(claims_of(roles=["Licensing.Read"], tenant="tenant"))) as api:
        (found,) = (await api.get("/api/approvals")).json()["value"]
    assert found["id"] == operation.id
    approval = found["approval"]
    assert (approval["approvalsNeeded"], approval["requesterCanApprove"], approval["approvals"]) == (needed, alone, [])
    assert approval["appRoles"] == ["Licensing.Approve", "Licensing.ReadWrite"]
    assert "License Administrator" in approval["directoryRoles"]
    assert approval["protectedPeople"] == [
        {"id": user(n), "reasons": ["Global Administrator"]} for n in sorted(protected)
    ]
    assert approval["keptUntilDateTime"] > approval["expiresDateTime"] > found["createdDateTime"]
