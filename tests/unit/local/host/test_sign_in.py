"""The local sign-in with each claim withheld, or under its long name, and what the app makes of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from urllib.parse import urlencode

import jwt
import pytest

from functions.web.errors import Rejection
from functions.web.principal import authenticate, authorize
from local.host.auth import AUDIENCE, SESSION_AUDIENCE
from local.host.auth import SignIn as LocalSignIn
from shared.bootstrap import SignIn
from shared.domain.access import Access

TENANT = "8da3075e-f5eb-5d83-bb90-9a271280a4fd"
CLIENT = "cccccccc-0000-4000-8000-000000000003"
KEY = "k" * 64
APP = SignIn(True, TENANT, frozenset({AUDIENCE, SESSION_AUDIENCE}), frozenset({CLIENT}))
OWN_PAGE = {"sec-fetch-site": "same-origin"}
ANSWERS = {Access.READ: "read", Access.WRITE: "write", Access.APPROVE: "approve"}


def allowed(headers: dict[str, str]) -> set[str]:
    """What a caller may do, of reading, writing and approving."""
    now = datetime.now(UTC)
    found = set()
    for needed, name in ANSWERS.items():
        try:
            authorize(authenticate(headers, APP, now), needed, headers, now, APP)
        except Rejection:
            continue
        found.add(name)
    return found


def on_page(local: LocalSignIn) -> dict[str, str]:
    answer = local.page("POST", "/.auth/login", {}, {}, urlencode({"role": "License Administrator"}).encode())
    assert answer is not None
    cookie = dict(answer[2])["set-cookie"].split(";")[0]
    return {**local.with_principal("/users", {"cookie": cookie}), **OWN_PAGE}


def by_token(local: LocalSignIn) -> dict[str, str]:
    now = int(time.time())
    claims = {
        "aud": AUDIENCE,
        "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
        "tid": TENANT,
        "oid": "aaaaaaaa-0000-4000-8000-000000000001",
        "sub": "pairwise",
        "azp": CLIENT,
        "scp": "user_impersonation",
        "wids": ["4d6ac14f-3453-41d0-bef9-a3e0c569773a"],
        "acct": 0,
        "auth_time": now,
        "iat": now,
        "exp": now + 600,
    }
    token = jwt.encode(claims, KEY, algorithm="HS256")
    return local.with_principal("/users", {"authorization": f"Bearer {token}"})


@pytest.mark.parametrize("long_names", [False, True])
@pytest.mark.parametrize(
    ("withheld", "page", "program"),
    [
        ((), {"read", "write", "approve"}, {"read", "write", "approve"}),
        (("auth_time",), {"read", "write"}, {"read", "write"}),
        (("acct",), {"read", "write", "approve"}, {"read", "write", "approve"}),
        (("iat",), {"read", "write", "approve"}, {"read", "write", "approve"}),
        (("iat", "nbf", "auth_time"), {"read"}, {"read", "write"}),
        (("azp", "appid"), {"read", "write", "approve"}, set()),
        (("scp",), {"read", "write", "approve"}, set()),
        (("wids",), set(), set()),
        (("tid",), set(), set()),
        (("oid",), set(), set()),
    ],
)
def test_a_claim_that_is_not_handed_on_never_lets_a_caller_do_more(
    withheld: tuple[str, ...], page: set[str], program: set[str], long_names: bool
) -> None:
    local = LocalSignIn(KEY, TENANT, frozenset(withheld), long_names)
    assert (allowed(on_page(local)), allowed(by_token(local))) == (page, program)
