"""Who is let in, and what each caller may do."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from functions.web.claims import CLOCK_SKEW, HEADER
from functions.web.errors import Rejection
from functions.web.principal import RECENT, Principal, authenticate, authorize
from shared.bootstrap import SignIn
from shared.domain.access import DIRECTORY_ROLE_IDS, READS, ROLES, Access, directory_roles
from shared.domain.initiator import InitiatorKind
from tests.support.api_calls import (
    CLIENT,
    GLOBAL_READER,
    GROUPS_ADMINISTRATOR,
    LICENSE_ADMINISTRATOR,
    ON,
    OTHER_CLIENT,
    OTHER_TENANT,
    PERSON,
    TENANT,
    Claims,
    app_token,
    claims_of,
    encoded,
    session,
    token,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OWN_PAGE = {"sec-fetch-site": "same-origin"}


def seconds(at: datetime) -> str:
    return str(int(at.timestamp()))


def let_in(headers: dict[str, str], sign_in: SignIn = ON, now: datetime | None = None) -> Principal:
    return authenticate(headers, sign_in, now or datetime.now(UTC))


def rejected(headers: dict[str, str], sign_in: SignIn = ON) -> tuple[int, str]:
    """Status and reason."""
    with pytest.raises(Rejection) as caught:
        let_in(headers, sign_in)
    return caught.value.status, caught.value.reason


def rejected_status(headers: dict[str, str], sign_in: SignIn = ON) -> int:
    return rejected(headers, sign_in)[0]


def forbidden(headers: dict[str, str], needed: Access, now: datetime = NOW, sign_in: SignIn = ON) -> Rejection:
    with pytest.raises(Rejection) as caught:
        authorize(let_in(headers, sign_in, now), needed, headers, now, sign_in)
    return caught.value


def why(headers: dict[str, str], needed: Access, now: datetime = NOW) -> str:
    fault = forbidden(headers, needed, now)
    return f"{fault.status} {fault.code}"


def passes(headers: dict[str, str], needed: Access, now: datetime = NOW) -> None:
    authorize(let_in(headers, ON, now), needed, headers, now, ON)


def on_page(times: dict[str, str], *, roles: tuple[str, ...] = (), wids: tuple[str, ...] = ()) -> dict[str, str]:
    """Headers of a write on the page, with only the times that are given."""
    claims = [*claims_of(roles=roles, wids=wids), *times.items()]
    return {HEADER: encoded(claims), "cookie": "AppServiceAuthSession=x", **OWN_PAGE}


def bearer(claims: Claims) -> dict[str, str]:
    """A bearer token with these claims and no others."""
    return {HEADER: encoded(claims), "authorization": "Bearer checked-by-the-platform"}


def test_nobody_is_let_in_while_platform_authentication_is_off() -> None:
    good = token(claims_of(roles=["Licensing.ReadWrite"]))
    assert let_in(good).initiator.id == PERSON
    assert rejected_status(good, replace(ON, platform_authentication=False)) == 401


def test_a_request_without_principal_is_rejected() -> None:
    assert rejected_status({"authorization": "Bearer whatever"}) == 401


def test_a_global_administrator_of_another_tenant_is_a_stranger() -> None:
    stranger = claims_of(wids=["62e90394-69f5-4237-9190-012177145e10"], tenant=OTHER_TENANT)
    assert rejected(token(stranger)) == (401, "other tenant")


def test_the_issuer_must_be_the_tenants() -> None:
    for issuer in (
        f"https://sts.windows.net/{OTHER_TENANT}/",
        "https://evil.example/",
        f"https://sts.windows.net/{TENANT}",
        "",
    ):
        assert rejected_status(token(claims_of(issuer=issuer))) == 401
    second = token(claims_of(issuer=f"https://login.microsoftonline.com/{TENANT}/v2.0"))
    assert let_in(second).initiator.display_name == "ada@fabrikam.example"


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
def test_a_malformed_principal_is_rejected_as_unknown(header: str) -> None:
    assert rejected_status({HEADER: header}) == 401


def test_long_claim_types_mean_the_same_as_short_ones() -> None:
    claims = [
        ("http://schemas.microsoft.com/identity/claims/tenantid", TENANT),
        ("iss", f"https://sts.windows.net/{TENANT}/"),
        ("http://schemas.microsoft.com/identity/claims/objectidentifier", PERSON.upper()),
        ("http://schemas.microsoft.com/ws/2008/06/identity/claims/role", "Licensing.Read"),
        ("http://schemas.microsoft.com/identity/claims/scope", "user_impersonation"),
        ("appid", CLIENT),
    ]
    principal = let_in({HEADER: encoded(claims), "authorization": "Bearer x"})
    assert principal.initiator.id == PERSON
    assert principal.access == ROLES["Licensing.Read"]


def test_a_service_is_called_by_its_application() -> None:
    principal = let_in(app_token(roles=["Licensing.ReadWrite"]))
    by = principal.initiator
    assert (by.kind, by.display_name, by.app_id, principal.is_person) == (InitiatorKind.APP, CLIENT, CLIENT, False)


WRITE_AND_APPROVE = ROLES["Licensing.Write"] | ROLES["Licensing.Approve"]


@pytest.mark.parametrize(
    ("name", "access"),
    [
        ("Global Administrator", WRITE_AND_APPROVE | ROLES["Licensing.Configure"]),
        ("License Administrator", WRITE_AND_APPROVE),
        ("User Administrator", WRITE_AND_APPROVE),
        ("Global Reader", ROLES["Licensing.Read"]),
        ("Helpdesk Administrator", {Access.ANY, Access.READ_USERS}),
        ("Groups Administrator", ROLES["Licensing.Read"] | {Access.WRITE_GROUPS}),
        ("Directory Readers", set()),
        ("Reports Reader", set()),
    ],
)
def test_a_directory_role_allows_what_the_default_says_on_the_page_and_by_token(name: str, access: set[Access]) -> None:
    wid = DIRECTORY_ROLE_IDS[name]
    for headers in (token(claims_of(wids=[wid])), session(claims_of(wids=[wid.upper()]))):
        assert let_in(headers).access == access


def test_the_setting_decides_what_directory_roles_allow() -> None:
    sign_in = replace(ON, directory_roles=directory_roles("Reports Reader=Licensing.Read"))
    reports, license = claims_of(wids=[DIRECTORY_ROLE_IDS["Reports Reader"]]), claims_of(wids=[LICENSE_ADMINISTRATOR])
    assert let_in(session(reports), sign_in).access == ROLES["Licensing.Read"]
    assert let_in(session(license), sign_in).access == frozenset()


def test_a_groups_administrator_changes_groups_but_neither_users_nor_profiles_nor_approvals() -> None:
    headers = token([*claims_of(wids=[GROUPS_ADMINISTRATOR]), ("auth_time", seconds(NOW))])
    passes(headers, Access.WRITE_GROUPS)
    for needed in (Access.WRITE, Access.CONFIGURE, Access.APPROVE, Access.WRITE_HR, Access.END_HR_EVENT):
        assert why(headers, needed) == "403 Forbidden"


def test_the_directory_role_of_an_application_does_not_count() -> None:
    both = claims_of(roles=["Licensing.Read"], wids=[LICENSE_ADMINISTRATOR])
    assert let_in(bearer([*both, ("azp", CLIENT), ("idtyp", "app")])).access == ROLES["Licensing.Read"]


def test_app_roles_do_not_give_more_than_they_say() -> None:
    for role in ("Licensing.Read", "Licensing.Write", "Licensing.Approve", "Licensing.Configure", "Onboarding.Read"):
        assert let_in(token(claims_of(roles=[role]))).access == ROLES[role]
    assert let_in(app_token(roles=["Onboarding.Write"])).access == {
        Access.ANY,
        Access.READ_HR_EVENT,
        Access.END_HR_EVENT,
        Access.WRITE_HR,
    }
    unknown = claims_of(roles=["licensing.readwrite", "Owner", "Groups.Write", "Users.Read"], wids=["x"])
    assert let_in(token(unknown)).access == frozenset()


def test_readers_see_no_hr_event_and_change_nothing() -> None:
    for headers in (token(claims_of(roles=["Licensing.Read"])), session(claims_of(wids=[GLOBAL_READER]))):
        access = let_in(headers).access
        assert access <= READS
        assert Access.READ_HR not in access


def test_who_lacks_the_role_is_told_which_it_is_and_who_assigns_it() -> None:
    assert why(token(claims_of()), Access.READ) == "403 Forbidden"
    assert why(token(claims_of(roles=["Onboarding.Write"])), Access.READ) == "403 Forbidden"
    fault = forbidden(token(claims_of(roles=["Licensing.Read"])), Access.CONFIGURE)
    assert (fault.status, fault.code, fault.reason, fault.caller) == (403, "Forbidden", "role missing", PERSON)
    for word in ("Licensing.Configure", "Global Administrator", "Application Administrator", "Enterprise applications"):
        assert word in fault.message
    assert "License Administrator" not in fault.message


def test_a_page_of_another_site_cannot_write_with_somebodys_session() -> None:
    headers = on_page({"iat": seconds(NOW)}, wids=(LICENSE_ADMINISTRATOR,))
    for other in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": ""}):
        assert why({**headers, **other}, Access.WRITE) == "403 CrossSiteRequest"
    passes(headers, Access.WRITE)
    passes({**headers, "sec-fetch-site": "", "x-requested-with": "gbl"}, Access.WRITE)
    passes({**headers, "sec-fetch-site": "cross-site"}, Access.READ)


@pytest.mark.parametrize(
    "times",
    [
        {"iat": seconds(NOW - RECENT - timedelta(seconds=1))},
        {"iat": seconds(NOW + CLOCK_SKEW + timedelta(seconds=1))},
        {"iat": "2026-11-23T12:00:00Z"},
        {"iat": "١٧٦٣٨٩٩٢٠٠"},
        {"iat": ""},
        {},
    ],
)
def test_a_session_whose_roles_were_read_too_long_ago_or_nobody_knows_when_reads_but_does_not_write(
    times: dict[str, str],
) -> None:
    headers = on_page(times, wids=(LICENSE_ADMINISTRATOR,))
    assert why(headers, Access.WRITE) == "401 SignInTooOld"
    passes(headers, Access.READ)


def test_a_write_needs_roles_read_within_the_hour_and_any_time_of_the_token_shows_it() -> None:
    for name in ("iat", "nbf", "auth_time"):
        passes(on_page({name: seconds(NOW - RECENT)}, wids=(LICENSE_ADMINISTRATOR,)), Access.WRITE)
    # Single sign-on renews the session without a new sign-in: its roles are fresh, which is all that a write needs.
    passes(on_page({"iat": seconds(NOW), "auth_time": "1700000000"}, wids=(LICENSE_ADMINISTRATOR,)), Access.WRITE)


@pytest.mark.parametrize(
    "auth_time",
    [
        None,
        "",
        "yesterday",
        "2026-11-23T12:00:00Z",
        "-1",
        "1e9",
        "9" * 11,
        seconds(NOW + timedelta(hours=1)),
        seconds(NOW - RECENT - timedelta(seconds=1)),
    ],
)
def test_an_approval_is_denied_unless_the_claims_say_that_the_person_signed_in_within_the_hour(
    auth_time: str | None,
) -> None:
    times = {} if auth_time is None else {"auth_time": auth_time}
    page = on_page({"iat": seconds(NOW), **times}, roles=("Licensing.Approve",))
    claims = [*claims_of(roles=["Licensing.Approve"]), *times.items(), ("azp", CLIENT), ("scp", "user_impersonation")]
    for headers in (page, bearer(claims)):
        fault = forbidden(headers, Access.APPROVE)
        assert (fault.status, fault.code, fault.reason) == (401, "SignInTooOld", "sign-in not recent")
        assert "Sign out, sign in again" in fault.message
    passes(page, Access.READ)


def test_two_different_times_of_sign_in_are_none() -> None:
    claims = [*claims_of(roles=["Licensing.Approve"]), ("auth_time", seconds(NOW)), ("auth_time", "1700000000")]
    assert why({**session(claims), **OWN_PAGE}, Access.APPROVE) == "401 SignInTooOld"


def test_a_person_who_signed_in_within_the_hour_approves_on_the_page_and_by_token() -> None:
    recent = seconds(NOW - RECENT)
    passes(on_page({"iat": seconds(NOW), "auth_time": recent}, roles=("Licensing.Approve",)), Access.APPROVE)
    passes(token([*claims_of(roles=["Licensing.Approve"]), ("auth_time", recent)]), Access.APPROVE)


@pytest.mark.parametrize("role", ["Licensing.Approve", "Licensing.ReadWrite"])
def test_an_application_never_approves_whatever_its_token_says(role: str) -> None:
    headers = app_token(roles=[role])
    assert forbidden(headers, Access.APPROVE, datetime.now(UTC)).code == "PersonRequired"
    claims = [*claims_of(roles=[role]), ("azp", CLIENT), ("idtyp", "app"), ("auth_time", seconds(NOW))]
    assert forbidden(bearer(claims), Access.APPROVE).code == "PersonRequired"


NO_CLIENT = (401, "no client application")
NEITHER = (403, "neither person nor application")
ROLE = claims_of(roles=["Licensing.ReadWrite"])


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        (ROLE, NO_CLIENT),
        ([*ROLE, ("nonce", "n"), ("auth_time", "1700000000")], NO_CLIENT),
        ([*ROLE, ("azp", "not-a-guid"), ("scp", "user_impersonation")], NO_CLIENT),
        ([*ROLE, ("azp", OTHER_CLIENT), ("scp", "user_impersonation")], (403, "client not allowed")),
        ([*ROLE, ("azp", CLIENT), ("appid", OTHER_CLIENT), ("scp", "user_impersonation")], NO_CLIENT),
        ([*ROLE, ("appid", OTHER_CLIENT), ("idtyp", "app")], (403, "client not allowed")),
        ([*ROLE, ("azp", CLIENT), ("scp", "User.Read openid")], (403, "scope missing")),
        ([*ROLE, ("azp", CLIENT)], NEITHER),
        ([*ROLE, ("azp", CLIENT), ("idtyp", "user")], NEITHER),
        ([*ROLE, ("azp", CLIENT), ("scp", "user_impersonation"), ("idtyp", "app")], NEITHER),
        ([*claims_of(), ("azp", CLIENT), ("idtyp", "app")], NEITHER),
        ([*claims_of(wids=[LICENSE_ADMINISTRATOR]), ("azp", CLIENT), ("idtyp", "app")], NEITHER),
    ],
)  # fmt: skip
def test_a_bearer_token_needs_an_allowed_client_and_a_scope_or_app_roles(
    claims: Claims, expected: tuple[int, str]
) -> None:
    assert rejected(bearer(claims)) == expected


def test_a_token_with_an_allowed_client_and_what_it_needs_is_taken() -> None:
    for claims in (
        [*ROLE, ("azp", CLIENT.upper()), ("scp", "openid user_impersonation")],
        [*ROLE, ("appid", CLIENT), ("scp", "user_impersonation"), ("idtyp", "user")],
    ):
        assert let_in(bearer(claims)).is_person
    for claims in ([*ROLE, ("appid", CLIENT), ("idtyp", "app")], [*ROLE, ("azp", CLIENT), ("sub", PERSON)]):
        assert not let_in(bearer(claims)).is_person


def test_no_client_is_allowed_where_the_setting_names_none() -> None:
    assert rejected(token(ROLE), replace(ON, allowed_clients=frozenset())) == (403, "client not allowed")


def test_a_token_is_not_passed_off_as_a_session() -> None:
    other = bearer([*ROLE, ("azp", OTHER_CLIENT), ("scp", "user_impersonation")])
    assert rejected({**other, "cookie": "AppServiceAuthSession=made-up"}) == (401, "two sign-ins")
    assert rejected({HEADER: other[HEADER], "x-zumo-auth": "y"}) == (401, "exchanged session")
    app = encoded([*ROLE, ("idtyp", "app")])
    assert rejected({HEADER: app, "cookie": "AppServiceAuthSession=x"}) == (401, "not a session")


@pytest.mark.parametrize("sent", ["bearer\tx", " Bearer  x", "Basic x", "x", None])
def test_a_token_in_another_form_of_header_is_not_taken_for_a_session(sent: str | None) -> None:
    header = {"authorization": sent} if sent is not None else {}
    other = {HEADER: encoded([*ROLE, ("azp", OTHER_CLIENT), ("scp", "user_impersonation")]), **header, **OWN_PAGE}
    assert rejected(other) == (403, "client not allowed")
    if sent is not None:
        assert rejected({**other, "cookie": "AppServiceAuthSession=made-up"}) == (401, "two sign-ins")


@pytest.mark.parametrize(
    "guest",
    [
        [("acct", "1")],
        [("acct", "0"), ("acct", "1")],
        [("acct", "guest")],
        [("idp", f"https://sts.windows.net/{OTHER_TENANT}/")],
        [("http://schemas.microsoft.com/identity/claims/identityprovider", "live.com")],
    ],
)
def test_a_guest_is_let_in_only_where_the_setting_says_so(guest: Claims) -> None:
    claims = [*claims_of(wids=["62e90394-69f5-4237-9190-012177145e10"]), *guest]
    for headers in (session(claims), token(claims)):
        assert rejected(headers) == (403, "guest")
        assert Access.WRITE in let_in(headers, replace(ON, allow_guests=True)).access


def test_a_member_is_no_guest_even_if_another_tenant_signed_them_in() -> None:
    own = [*claims_of(roles=["Licensing.Read"]), ("idp", f"https://sts.windows.net/{TENANT}/")]
    external = [*claims_of(roles=["Licensing.Read"]), ("acct", "0"), ("idp", "https://sts.windows.net/x/")]
    for claims in (own, external):
        assert let_in(session(claims)).access == ROLES["Licensing.Read"]


def test_a_token_for_another_audience_is_rejected_where_audiences_are_set() -> None:
    sign_in = replace(ON, audiences=frozenset({"api://group-based-licensing"}))
    managed = token([*claims_of(), ("aud", "api://group-based-licensing")])
    assert let_in(managed, sign_in).initiator.id == PERSON
    assert rejected_status(token([*claims_of(), ("aud", "https://graph.microsoft.com")]), sign_in) == 401
