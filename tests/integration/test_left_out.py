"""A run of tests on a machine without a browser: its last lines say what was left out."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from local.stack import ROOT
from tests.integration import PATIENCE_S


def test_without_a_browser_the_last_lines_say_that_the_page_was_not_tested_and_how_to() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "REQUIRE_"))}
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "1", "tests/e2e/test_page.py")
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**environment, "PATH": ""},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    observed, how = done.stdout.splitlines()[-2:]
    assert re.fullmatch(
        r"The page was NOT tested: [1-9]\d* tests of tests/e2e/test_page\*.py need Chromium, .*", observed
    )
    assert how.startswith("To run them: install Chromium") and how.endswith("make page-test")
