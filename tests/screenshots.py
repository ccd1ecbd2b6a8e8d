"""`make screenshots`: a picture of every view of the page: light, dark, and on a phone, light.

`--docs` renews the pictures of the documents instead. Needs Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from local.stack import ROOT
from tests import native_pictures
from tests.support.browsing import CHROMIUM, NO_CHROMIUM, chromium, signed_in
from tests.support.stack_journeys import Journey
from tests.support.views import View, busy_tenant

TARGET = ROOT / ".local" / "screenshots"
IMAGES = ROOT / "docs" / "images"
ROLE = "Global Administrator"


@dataclass(frozen=True)
class Appearance:
    """How the browser shows the page. `context`: options of its context."""

    name: str
    context: dict[str, Any]


WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
APPEARANCES = (
    Appearance("light", {"viewport": WIDE, "color_scheme": "light"}),
    Appearance("dark", {"viewport": WIDE, "color_scheme": "dark"}),
    Appearance("phone", {"viewport": PHONE, "color_scheme": "light", "device_scale_factor": 2}),
)
DOCS = {"start": "start.png", "group": "group.png", "licenses": "licenses.png", "user": "user.png"}
"""Views that the documents show, and their files."""

DARK_DOCS = ("licenses",)
DOCS_ROLES = {"user": "Helpdesk Administrator"}
"""Views of the documents that another role than ROLE sees."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("--docs", action="store_true", help="write docs/images instead")
    parser.add_argument("--only", choices=tuple(DOCS), help="with --docs: renew the picture of this view alone")
    parser.add_argument("--members", type=int, default=400)
    options = parser.parse_args()
    if not CHROMIUM:
        print(NO_CHROMIUM)
        return 1
    with (
        tempfile.TemporaryDirectory() as folder,
        busy_tenant(Path(folder), options.members) as (run, views),
        chromium() as browser,
    ):
        if options.docs:
            _for_documents(run, browser, views, (options.only,) if options.only else tuple(DOCS))
            if not options.only:
                native_pictures.take(run, browser, IMAGES)
        else:
            shutil.rmtree(TARGET, ignore_errors=True)
            TARGET.mkdir(parents=True)
            for appearance in APPEARANCES:
                _take(run, browser, appearance, views)
            print(f"{len(views)} views, {len(APPEARANCES)} pictures each, in {TARGET}")
    return 0


def _take(run: Journey, browser: Browser, appearance: Appearance, views: list[View]) -> None:
    with signed_in(run, browser, ROLE, **appearance.context) as page:
        for view in views:
            view.show(page)
            page.screenshot(path=TARGET / f"{view.name}-{appearance.name}.png", full_page=True)


def _for_documents(run: Journey, browser: Browser, views: list[View], names: tuple[str, ...]) -> None:
    for view in (each for each in views if each.name in names):
        scheme = "dark" if view.name in DARK_DOCS else "light"
        role = DOCS_ROLES.get(view.name, ROLE)
        shown = View(view.name, f"/users/{_member_in_error(run)}") if view.name == "user" else view
        with signed_in(run, browser, role, viewport=WIDE, color_scheme=scheme) as page:
            shown.show(page)
            page.screenshot(path=IMAGES / DOCS[view.name])


def _member_in_error(run: Journey) -> str:
    """The first member with an error or a wait now: its page has a remedy."""
    (member, *_) = run.errors(run.main)
    return member


if __name__ == "__main__":
    raise SystemExit(main())
