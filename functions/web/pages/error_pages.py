"""Errors for people: a page with the error, and a redirect to the sign-in if it is missing."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from functions.web.claims import HEADER
from functions.web.errors import HttpError, body_of
from functions.web.pages.rendering import page

SIGN_IN = "/.auth/login/aad?post_login_redirect_uri="
"""Where the platform signs people in
(learn.microsoft.com/azure/app-service/configure-authentication-customize-sign-in-out)."""

SIGN_OUT = "/.auth/logout?post_logout_redirect_uri="
"""Ends the session at Entra too, so that the next sign-in is a new one (the same page, "Sign out of a session")."""


HEADINGS = {
    400: "Check what you entered",
    401: "Sign in again",
    403: "Access denied",
    404: "Not found",
    405: "Not found",
    409: "Not possible now",
    413: "Too large",
    415: "Check what you entered",
    429: "Too many requests",
    500: "Something went wrong",
    503: "Not available now",
}
HEADINGS_OF_CODES = {
    "AnotherApproverRequired": "Another person must approve",
    "AppPermissionMissing": "The app lacks a permission",
    "ChangedMeanwhile": "Changed in the meantime",
    "ChecksumMismatch": "Changed in the meantime",
    "NothingToChange": "Nothing was changed",
    "PersonRequired": "A person must do this",
}
"""Headings of errors that their status does not say."""


def heading_of(rejection: HttpError) -> str:
    """The heading of the page of an error."""
    return HEADINGS_OF_CODES.get(rejection.code) or HEADINGS.get(rejection.status, "Could not be done")


def wants_page(request: Request) -> bool:
    """Whether a person in a browser asked for a page."""
    programs = request.url.path.startswith(("/api/", "/graph/", "/static/"))
    return not programs and "text/html" in request.headers.get("accept", "")


def path_of(address: str) -> str:
    """Path and query of an address of this site. It begins with one slash, because a browser takes what follows two
    slashes, or a slash and a backslash, for a host."""
    parts = urlsplit(address)
    return "/" + parts.path.lstrip("/\\") + (f"?{parts.query}" if parts.query else "")


def failed_page(request: Request, rejection: HttpError) -> Response:
    """A page with the error. Without a sign-in, a redirect to the sign-in, and from there to the page with the form."""
    request_id = request.scope["request_id"]
    back = request.headers.get("referer", "")
    same = back.startswith(str(request.base_url))
    if rejection.status == 401 and HEADER not in request.headers:
        target = str(request.url) if request.method == "GET" else back if same else "/"
        return RedirectResponse(SIGN_IN + quote(path_of(target), safe=""), 303 if request.method == "POST" else 302)
    if "principal" not in request.scope:
        return Response(body_of(rejection, request_id), rejection.status, dict(rejection.headers), "application/json")
    answer = page(
        request,
        "error.html",
        heading=heading_of(rejection),
        status=rejection.status,
        message=rejection.message,
        code=rejection.code,
        request_id=request_id,
        back=back if same else "/",
        again=SIGN_OUT + quote(path_of(back) if same else "/", safe="") if rejection.status == 401 else "",
    )
    answer.headers.update(rejection.headers)
    return answer


def changed_meanwhile() -> HttpError:
    """The assignment has changed since the form or preview was shown."""
    text = "The assignment was changed meanwhile. Check it and choose again."
    return HttpError(409, "ChangedMeanwhile", text, "version")
