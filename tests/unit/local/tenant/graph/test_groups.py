"""Finding groups, by id, name or license error."""

from __future__ import annotations

from tests.support.graph_schema import validate
from tests.unit.local.tenant.calls import ANN, BOB, SALES, UNKNOWN, a_tenant, ask
from tests.unit.local.tenant.nested import DEEP, EVENTUAL, LAPTOP, NESTED, ids, nested_tenant


async def test_objects_by_ids_leave_out_unknown_and_deleted_ones_and_stop_at_a_thousand() -> None:
    tenant = nested_tenant()
    tenant.directory.delete_user(tenant.directory.users[BOB], 1.0)
    asked = {"ids": [ANN, BOB, UNKNOWN, LAPTOP, SALES]}
    _, body, _ = await ask(tenant, "POST", "/directoryObjects/getByIds", asked)
    assert ids(body) == {ANN, LAPTOP, SALES}
    _, body, _ = await ask(tenant, "POST", "/directoryObjects/getByIds", {**asked, "types": ["User", "device"]})
    assert ids(body) == {ANN, LAPTOP}
    assert (await ask(tenant, "POST", "/directoryObjects/getByIds", {"ids": [ANN] * 1000}))[0] == 200
    status, body, _ = await ask(tenant, "POST", "/directoryObjects/getByIds", {"ids": [ANN] * 1001})
    assert (status, body["error"]["message"]) == (400, "Number of included identifiers cannot exceed '1000'.")


async def test_groups_are_found_by_name() -> None:
    tenant = nested_tenant()
    _, body, _ = await ask(tenant, "GET", "/groups?$filter=startswith(displayName,'ne')&$select=id,displayName")
    assert ids(body) == {NESTED}
    validate(body, "group", ("id", "displayName"))
    search = '/groups?$search="displayName:dee"'
    assert (await ask(tenant, "GET", search))[0] == 400
    assert ids((await ask(tenant, "GET", search, headers=EVENTUAL))[1]) == {DEEP}


async def test_the_filter_for_license_errors_is_broken_by_default() -> None:
    url = "/groups?$filter=hasMembersWithLicenseErrors eq true"
    status, body, _ = await ask(a_tenant(), "GET", url)
    assert (status, "query filter clause" in body["error"]["message"]) == (400, True)
    assert (await ask(a_tenant({"licenseErrorFilter": True}), "GET", url))[0] == 200
