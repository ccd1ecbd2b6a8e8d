"""Who is let in, and what each role may do."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from functions.web.errors import HttpError
from functions.web.principal import HEADER, MAX_SIGN_IN_AGE, READS, Access, authenticate, authorize
from shared.bootstrap import SignIn
from tests.support.api_calls import (
    GLOBAL_READER,
    GROUPS_ADMINISTRATOR,
    LICENSE_ADMINISTRATOR,
    ON,
    OTHER_TENANT,
    PERSON,
    TENANT,
    claims_of,
    encoded,
    session,
    token,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def refused(headers: dict[str, str], sign_in: SignIn = ON) -> int:
    with pytest.raises(HttpError) as caught:
        authenticate(headers, sign_in)
    return caught.value.status


def forbidden(headers: dict[str, str], needed: Access, now: datetime = NOW) -> str:
    with pytest.raises(HttpError) as caught:
        authorize(authenticate(headers, ON), needed, headers, now)
    return f"{caught.value.status} {caught.value.code}"


def test_nobody_is_let_in_while_platform_authentication_is_off() -> None:
    good = token(claims_of(roles=["Licensing.ReadWrite"]))
    assert authenticate(good, ON).actor.id == PERSON
    assert refused(good, SignIn(platform_authentication=False, tenant_id=TENANT)) == 401


def test_a_request_without_principal_is_refused() -> None:
    assert refused({"authorization": "Bearer whatever"}) == 401


def test_a_global_administrator_of_another_tenant_is_a_stranger() -> None:
    stranger = claims_of(wids=["62e90394-69f5-4237-9190-012177145e10"], tenant=OTHER_TENANT)
    assert refused(token(stranger)) == 401


def test_the_issuer_must_be_the_tenants() -> None:
    for issuer in (
        f"https://sts.windows.net/{OTHER_TENANT}/",
        "https://evil.example/",
        f"https://sts.windows.net/{TENANT}",
        "",
    ):
        assert refused(token(claims_of(issuer=issuer))) == 401
    second = token(claims_of(issuer=f"https://login.microsoftonline.com/{TENANT}/v2.0"))
    assert authenticate(second, ON).actor.name == "ada@fabrikam.example"


@pytest.mark.parametrize(
    "header",
    [
        "not base64!",
        base64.b64encode(b"not json").decode(),
        base64.b64encode(b"[]").decode(),
        base64.b64encode(b'{"auth_typ": "aad"}').decode(),
        base64.b64encode(b'{"auth_typ": "aad", "claims": [{"typ": "tid"}]}').decode(),
        base64.b64encode(b'{"auth_typ": "aad", "claims": [{"typ": 1, "val": 2}]}').decode(),
        base64.b64encode(b'{"auth_typ": "aad", "claims": {"typ": "tid"}}').decode(),
        base64.b64encode(b"[" * 40_000).decode(),
        "A" * 70_000,
        encoded(claims_of(roles=["Licensing.ReadWrite"]), auth_typ="google"),
        encoded([*claims_of(), ("tid", OTHER_TENANT)]),
        encoded([each for each in claims_of() if each[0] != "oid"]),
        encoded([each for each in claims_of() if each[0] != "tid"]),
    ],
)
def test_a_malformed_principal_is_refused_as_unknown(header: str) -> None:
    assert refused({HEADER: header}) == 401


def test_long_claim_types_mean_the_same_as_short_ones() -> None:
    claims = [
        ("http://schemas.microsoft.com/identity/claims/tenantid", TENANT),
        ("iss", f"https://sts.windows.net/{TENANT}/"),
        ("http://schemas.microsoft.com/identity/claims/objectidentifier", PERSON.upper()),
        ("http://schemas.microsoft.com/ws/2008/06/identity/claims/role", "Licensing.Read"),
    ]
    principal = authenticate({HEADER: encoded(claims)}, ON)
    assert principal.actor.id == PERSON
    assert principal.access == READS


def test_a_service_is_called_by_its_application() -> None:
    claims = [each for each in claims_of(roles=["Licensing.ReadWrite"]) if each[0] != "preferred_username"]
    principal = authenticate(token([*claims, ("azp", "bbbbbbbb-0000-4000-8000-000000000002")]), ON)
    assert (principal.actor.kind, principal.actor.name) == ("service", "bbbbbbbb-0000-4000-8000-000000000002")


@pytest.mark.parametrize(
    ("wid", "may_write"),
    [
        (LICENSE_ADMINISTRATOR, True),
        ("fe930be7-5e62-47db-91af-98c3a49a38b1", True),
        ("62e90394-69f5-4237-9190-012177145e10", True),
        (GLOBAL_READER, False),
        ("4a5d8f65-41da-4de4-8968-e035b65339cf", False),
        ("88d8e3e3-8f55-4a1e-953a-9b9898b8876b", False),
    ],
)
def test_directory_roles_read_and_some_write(wid: str, may_write: bool) -> None:
    for headers in (token(claims_of(wids=[wid])), session(claims_of(wids=[wid.upper()]))):
        access = authenticate(headers, ON).access
        assert (Access.READ in access, Access.WRITE in access) == (True, may_write)


def test_a_groups_administrator_writes_with_a_token_and_reads_on_the_page() -> None:
    claims = claims_of(wids=[GROUPS_ADMINISTRATOR])
    assert Access.WRITE in authenticate(token(claims), ON).access
    assert authenticate(session(claims), ON).access == READS


def test_a_made_up_bearer_header_beside_a_session_is_still_a_session() -> None:
    claims = claims_of(wids=[GROUPS_ADMINISTRATOR])
    assert authenticate({**session(claims), "authorization": "Bearer x"}, ON).access == READS


def test_app_roles_do_not_give_more_than_they_say() -> None:
    assert authenticate(token(claims_of(roles=["Licensing.Read"])), ON).access == READS
    assert authenticate(token(claims_of(roles=["Onboarding.Write"])), ON).access == {
        Access.ONBOARD,
        Access.ONBOARD_READ,
    }
    assert authenticate(token(claims_of(roles=["licensing.readwrite", "Owner"], wids=["x"])), ON).access == frozenset()


def test_who_lacks_the_role_is_forbidden_and_not_unknown() -> None:
    assert forbidden(token(claims_of(roles=["Licensing.Read"])), Access.WRITE) == "403 Forbidden"
    assert forbidden(token(claims_of()), Access.READ) == "403 Forbidden"
    assert forbidden(token(claims_of(roles=["Onboarding.Write"])), Access.READ) == "403 Forbidden"


def test_a_page_of_another_site_cannot_write_with_somebodys_session() -> None:
    headers = session(claims_of(wids=[LICENSE_ADMINISTRATOR]))
    assert forbidden(headers, Access.WRITE) == "403 CrossSiteRequest"
    assert forbidden({**headers, "sec-fetch-site": "cross-site"}, Access.WRITE) == "403 CrossSiteRequest"
    assert forbidden({**headers, "sec-fetch-site": "same-site"}, Access.WRITE) == "403 CrossSiteRequest"
    for said in ({"sec-fetch-site": "same-origin"}, {"x-requested-with": "gbl"}):
        authorize(authenticate(headers, ON), Access.WRITE, {**headers, **said}, NOW)
    authorize(authenticate(headers, ON), Access.READ, headers, NOW)


def test_a_write_needs_a_sign_in_of_the_day() -> None:
    def signed_in(age: timedelta) -> dict[str, str]:
        claims = [*claims_of(wids=[LICENSE_ADMINISTRATOR]), ("auth_time", str(int((NOW - age).timestamp())))]
        return {**session(claims), "x-requested-with": "gbl"}

    young, old = signed_in(MAX_SIGN_IN_AGE), signed_in(MAX_SIGN_IN_AGE + timedelta(seconds=1))
    authorize(authenticate(young, ON), Access.WRITE, young, NOW)
    assert forbidden(old, Access.WRITE) == "401 SignInTooOld"
    authorize(authenticate(old, ON), Access.READ, old, NOW)


def test_a_token_for_another_audience_is_refused_where_audiences_are_set() -> None:
    sign_in = SignIn(True, TENANT, frozenset({"api://group-based-licensing"}))
    ours = token([*claims_of(), ("aud", "api://group-based-licensing")])
    assert authenticate(ours, sign_in).actor.id == PERSON
    assert refused(token([*claims_of(), ("aud", "https://graph.microsoft.com")]), sign_in) == 401
