"""What the documents say stands in the code: settings and queues in one place each, held equal."""

from __future__ import annotations

import json
import re
from pathlib import Path

from shared.domain.messages import JOBS, MEMBERS, MEMBERS_BULK, OPERATIONS

ROOT = Path(__file__).resolve().parent.parent.parent
SETTING = re.compile(r'\n    """([A-Za-z_]+(?:__[A-Za-z]+)?): ')
SET_BY_THE_PLATFORM = {"WEBSITE_AUTH_ENABLED"}
COMPUTED = {"OUTSTANDING_CHUNKS"}
IN_AZURE_ONLY = {
    "ServiceBusConnection__fullyQualifiedNamespace",
    "TablesConnection__endpoint",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
}


def settings_of_the_code() -> set[str]:
    return set(SETTING.findall((ROOT / "shared" / "config.py").read_text()))


def test_the_readme_explains_every_setting_and_no_other() -> None:
    table = (ROOT / "README.md").read_text().split("| setting | meaning |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)) == settings_of_the_code()


def test_the_example_settings_name_every_setting_of_a_local_run() -> None:
    values = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
    expected = settings_of_the_code() - SET_BY_THE_PLATFORM - COMPUTED - IN_AZURE_ONLY
    assert values.keys() - {"FUNCTIONS_WORKER_RUNTIME"} == expected


def test_every_queue_the_code_uses_is_declared() -> None:
    declared = json.loads((ROOT / "infra" / "servicebus-config.json").read_text())
    names = {queue["Name"] for queue in declared["UserConfig"]["Namespaces"][0]["Queues"]}
    assert {JOBS, OPERATIONS, MEMBERS, MEMBERS_BULK} <= names


def test_every_file_the_readme_points_to_exists() -> None:
    for document in ("README.md", "local/README.md", "docs/operating.md", "CONTRIBUTING.md", "SECURITY.md"):
        folder = (ROOT / document).parent
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text()):
            assert (folder / target).exists(), f"{document} points to {target}"
