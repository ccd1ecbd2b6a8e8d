"""The predicted errors of a preview: a list that is filtered, sorted and downloaded, on the page and by the API."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from shared.domain.directory import LicenseAssignmentState, ServicePlan, SubscribedSku
from shared.domain.errors import PermissionDenied
from shared.domain.ids import ServicePlanId, UserId
from tests.support.pages import browser, chosen, previewed, send
from tests.support.runs import Run, product, user

MAIL_PLAN, SMALL_PLAN = (
    ServicePlanId(each)
    for each in (
        "9aaf7827-d63c-4b61-89c3-182f06f82e5c",  # EXCHANGE_S_STANDARD
        "1126bef5-da20-4f07-b45e-ad25d2581aa8",  # EXCHANGE_S_ESSENTIALS
    )
)


def mail(number: int, name: str, plan: ServicePlanId) -> SubscribedSku:
    return replace(product(number, name, ()), service_plans=(ServicePlan(plan, f"EXCHANGE_S_{name}"),))


MAIL, ESSENTIALS = mail(41, "MAIL", MAIL_PLAN), mail(42, "ESSENTIALS", SMALL_PLAN)
OFFICE = replace(product(43, "OFFICE", (50, 51)), enabled=4)
CLASH, TWO_MAILS, LACKING, LAST, FINE = (user(n) for n in range(1, 6))


@dataclass
class Stage:
    """A preview of two products for five members: one error of each kind, and one member without any."""

    run: Run
    page: httpx.AsyncClient
    shown: str

    async def api(self, query: str = "") -> Any:
        answer = await self.page.get(f"/api{self.shown}/predictedErrors{query}", headers={"accept": "application/json"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def text(self, query: str = "") -> str:
        answer = await self.page.get(f"{self.shown}/errors{query}")
        assert answer.status_code == 200, answer.text
        return answer.text


def stock(run: Run) -> None:
    people = run.people(5)
    for sku in (MAIL, ESSENTIALS, OFFICE):
        run.directory.add_sku(sku)
    run.directory.change_user(replace(run.directory.truth(CLASH), display_name="zoe"))
    run.directory.addresses[run.directory.truth(CLASH).user_principal_name] = frozenset({user(90)})
    own = {
        TWO_MAILS: LicenseAssignmentState(ESSENTIALS.sku_id),
        LACKING: LicenseAssignmentState(OFFICE.sku_id, frozenset({OFFICE.service_plans[0].service_plan_id})),
    }
    for each, row in own.items():
        run.directory.change_user(replace(run.directory.truth(each), license_assignment_states=(row,)))
    assert people == [CLASH, TWO_MAILS, LACKING, LAST, FINE]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    run = Run()
    stock(run)
    async with browser(run) as page:
        shown, _ = await previewed(run, page, chosen(MAIL, OFFICE))
        yield Stage(run, page, shown)


ROWS = {
    (CLASH, "UniquenessViolation", MAIL.sku_id, "likely"),
    (TWO_MAILS, "MutuallyExclusiveViolation", MAIL.sku_id, "likely"),
    (LACKING, "Other", OFFICE.sku_id, "expected"),
    (FINE, "CountViolation", OFFICE.sku_id, "likely"),
}
"""OFFICE has three free licenses for four members who need one."""


async def test_the_api_lists_each_user_with_product_error_cause_and_remedy(stage: Stage) -> None:
    answer = await stage.api()
    found = {(row["id"], row["error"], row["skuId"], row["certainty"]) for row in answer["value"]}
    assert found == ROWS
    (conflict,) = [row for row in answer["value"] if row["id"] == TWO_MAILS]
    assert conflict["causedBySkus"] == [{"skuId": ESSENTIALS.sku_id, "skuPartNumber": "ESSENTIALS"}]
    assert conflict["message"].startswith("Microsoft lists MAIL and ESSENTIALS as exclusive")
    assert conflict["remedy"].startswith("Remove the other license")
    assert conflict["userPrincipalName"] == stage.run.directory.truth(TWO_MAILS).user_principal_name


@pytest.mark.parametrize(
    ("query", "users"),
    [
        ("?error=Other", [LACKING]),
        (f"?skuId={MAIL.sku_id}", [TWO_MAILS, CLASH]),
        ("?certainty=expected", [LACKING]),
        (f"?causedBy={ESSENTIALS.sku_id}", [TWO_MAILS]),
        ("?error=Other&certainty=likely", []),
    ],
)
async def test_the_list_is_filtered(stage: Stage, query: str, users: list[UserId]) -> None:
    assert [row["id"] for row in (await stage.api(query))["value"]] == users


@pytest.mark.parametrize(
    ("sort", "users"),
    [
        ("error", [FINE, TWO_MAILS, LACKING, CLASH]),
        ("product", [TWO_MAILS, CLASH, LACKING, FINE]),
        ("user", [TWO_MAILS, LACKING, FINE, CLASH]),
    ],
)
async def test_the_list_is_sorted(stage: Stage, sort: str, users: list[UserId]) -> None:
    value = (await stage.api(f"?sort={sort}"))["value"]
    assert sorted(row["id"] for row in value) == sorted(users)
    if sort == "product":
        assert [row["skuId"] for row in value] == [MAIL.sku_id, MAIL.sku_id, OFFICE.sku_id, OFFICE.sku_id]
    else:
        assert [row["id"] for row in value] == users


async def test_the_list_is_paged_to_its_end(stage: Stage) -> None:
    found, address = [], f"/api{stage.shown}/predictedErrors?$top=3&certainty=likely"
    while address:
        answer = (await stage.page.get(address, headers={"accept": "application/json"})).json()
        found.append([row["id"] for row in answer["value"]])
        address = answer.get("@odata.nextLink", "")
    assert [len(part) for part in found] == [3]
    first = await stage.api("?$top=1")
    rest = (await stage.page.get(first["@odata.nextLink"], headers={"accept": "application/json"})).json()
    assert first["value"][0]["id"] not in {row["id"] for row in rest["value"]}


async def test_the_page_shows_filters_and_downloads_the_list(stage: Stage) -> None:
    text = await stage.text()
    for words in ("Duplicate proxy addresses", "Conflicting service plans", "Not enough licenses", "likely"):
        assert words in text
    only = await stage.text("?error=Other")
    assert f'href="/users/{LACKING}"' in only
    assert f'href="/users/{CLASH}"' not in only
    assert f'href="{stage.shown}/errors.csv?error=Other' in only
    assert f'href="{stage.shown}/errors"' in (await stage.page.get(stage.shown)).text


async def test_the_download_has_every_row_in_a_file_named_for_its_content(stage: Stage) -> None:
    answer = await stage.page.get(f"{stage.shown}/errors.csv")
    assert f"predicted-errors-{stage.shown.rpartition('/')[2]}.csv" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert {(row["id"], row["error"], row["skuId"], row["certainty"]) for row in rows} == ROWS
    (conflict,) = [row for row in rows if row["id"] == TWO_MAILS]
    assert (conflict["product"], conflict["causedBy"]) == ("MAIL", "ESSENTIALS")
    only = (await stage.page.get(f"{stage.shown}/errors.csv?error=Other")).text
    assert len(list(csv.DictReader(io.StringIO(only.removeprefix("\ufeff"))))) == 1


async def test_an_operation_that_is_no_preview_predicts_nothing(stage: Stage) -> None:
    known = (await stage.page.get(f"/api{stage.shown}", headers={"accept": "application/json"})).json()
    await send(stage.page, f"{stage.shown}/confirm", f"checksum={known['checksum']}")
    await stage.run.work_off()
    (done, *_), _ = await stage.run.world.stores.operations.newest(5)
    answer = await stage.page.get(f"/api/operations/{done.id}/predictedErrors", headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "NotAPreview")


async def test_the_plan_counts_users_with_errors_and_users_who_will_wait(stage: Stage) -> None:
    plan = (await stage.page.get(f"/api{stage.shown}", headers={"accept": "application/json"})).json()["plan"]
    assert (plan["usersFailing"], plan["usersWaiting"]) == (3, 1)
    assert plan["errors"] == {"UniquenessViolation": 1, "MutuallyExclusiveViolation": 1, "Other": 1}


async def test_a_preview_says_when_addresses_could_not_be_checked() -> None:
    run = Run()
    stock(run)

    async def away(addresses: object) -> Any:
        raise PermissionDenied("no address is shown")

    run.directory.address_holders = away  # type: ignore[method-assign]
    async with browser(run) as page:
        shown, _ = await previewed(run, page, chosen(MAIL))
        plan = (await page.get(f"/api{shown}", headers={"accept": "application/json"})).json()["plan"]
    assert any("duplicate addresses are missing" in each for each in plan["warnings"])
    assert "UniquenessViolation" not in plan["errors"]
