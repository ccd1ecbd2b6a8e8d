"""What holds for every test: examples are never judged by how long they take, since machines are shared; and a run
that left out the page says so at its very end."""

from __future__ import annotations

import sys

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

PAGE_TESTS = "tests/e2e/test_page"


def pytest_unconfigure(config: pytest.Config) -> None:
    """After the count of what passed, which stands below any other summary."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    left_out = [each for each in reporter.stats.get("skipped", ()) if each.nodeid.startswith(PAGE_TESTS)]
    if left_out:
        sys.stdout.write(
            f"\nThe page was NOT tested: {len(left_out)} tests of {PAGE_TESTS}*.py need Chromium, which is missing.\n"
            "To run them: install Chromium (Debian and Ubuntu: apt-get install chromium), then make page-test\n"
        )
        sys.stdout.flush()
