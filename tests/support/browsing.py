"""Chromium for tests and pictures of the page: found, started, and signed in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.support.stack_journeys import PATIENCE_S, Journey

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
NO_CHROMIUM = "no chromium was found; install Debian's package of that name"
WAIT_MS = 1000 * PATIENCE_S

if not CHROMIUM and os.environ.get("REQUIRE_BROWSER"):
    raise RuntimeError("REQUIRE_BROWSER is set and no chromium was found")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@contextmanager
def signed_in(run: Journey, browser: Browser, role: str = "License Administrator", **context: Any) -> Iterator[Page]:
    """A page of a person with this role who has just signed in. `context`: options of the browser's context."""
    opened = browser.new_context(base_url=run.stack.endpoints.api, **context)
    opened.set_default_timeout(WAIT_MS)
    page = opened.new_page()
    page.goto("/")
    page.get_by_role("button", name=role, exact=True).click()
    page.wait_for_url(lambda url: "/.auth/" not in url)
    yield page
    opened.close()


class Clicks:
    """A person at the start page, whose clicks are counted: buttons, links, check boxes and opened lists."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.number = 0
        page.goto("/")

    def click(self, what: Locator) -> None:
        self.number += 1
        what.click()

    def section(self, name: str) -> None:
        """Open a section of the navigation."""
        self.click(self.page.get_by_role("navigation").get_by_role("link", name=name))

    def find(self, text: str) -> None:
        """Type into the search box and press Enter, which is no click."""
        box = self.page.get_by_label("People, groups and products")
        box.fill(text)
        with self.page.expect_navigation():
            box.press("Enter")
