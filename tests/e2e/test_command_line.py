"""The command line as its own process against the running app: licenses as code, and what the demo prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.demo import MAIN_GROUP
from local.next_steps import PROGRAM, next_steps
from local.run import announced
from local.stack import ROOT
from tests.support.stack_journeys import PATIENCE_S, Journey, eventually, journey

PRODUCT, OTHER_PRODUCT = "VISIOCLIENT", "PROJECTPROFESSIONAL"
HEAD = "apiVersion: licensing/v1\n"
PERSON, ANOTHER = "Global Administrator", "License Administrator"
TEAMS = ("pruned", "stopped", "approved", "first", "second", "third")


def id_of(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.command-line.example"))


def people(team: str, count: int = 25) -> list[str]:
    return [id_of(f"{team}-{number}") for number in range(count)]


@dataclass
class Program:
    """`program("group", "list")` is a call in a folder in which `--local` finds the stack."""

    run: Journey
    folder: Path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "seatkeeper", *arguments, "--local"]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "cli")))}

    def __call__(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json").stdout)

    def files(self, name: str, text: str) -> Path:
        """A folder with one file."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "licenses.yaml").write_text(HEAD + text)
        return folder

    def plan_and_apply(self, name: str, text: str, *options: str, code: int = 0) -> str:
        """The output of the plan, after it was applied with this exit code."""
        folder, file = self.files(name, text), self.folder / f"{name}.json"
        shown = self("plan", str(folder), "-out", str(file), *options, code=2)
        self("apply", str(file), "--yes", code=code)
        return " ".join(shown.stdout.split())

    def licensed(self, product: str = PRODUCT) -> set[str]:
        """Who has the product directly, by the tenant itself."""
        sku_id = self.run.skus[product]
        users = self.run.directory()["users"]
        return {
            user["id"]
            for user in users
            if any(row["skuId"] == sku_id and not row["assignedByGroup"] for row in user["licenseAssignmentStates"])
        }


def group(name: str, *products: str) -> str:
    return f"  - group: {name}\n    products: [{', '.join(products)}]\n"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Teams of 25 people, and two groups that Microsoft licenses."""
    folder = tmp_path_factory.mktemp("command-line")
    (folder / ".local" / "run").mkdir(parents=True)
    tenant = ("--settings", json.dumps({"nativeDelaySeconds": 0}))
    with journey(tmp_path_factory.mktemp("stack"), members=60, tenant=tenant, validated=False) as run:
        native = [
            {"id": id_of(name), "displayName": name, "members": people(name, 3), "assignedLicenses": ["POWER_BI_PRO"]}
            for name in ("native-one", "native-two")
        ]
        ids = [each for name in TEAMS for each in people(name)]
        ids += [each for name in ("native-one", "native-two") for each in people(name, 3)]
        objects: dict[str, Any] = {
            "skus": [{"skuPartNumber": each, "enabled": 500} for each in (PRODUCT, OTHER_PRODUCT, "POWER_BI_PRO")],
            "users": [{"id": each} for each in ids],
            "groups": [
                *({"id": id_of(name), "displayName": name, "members": people(name)} for name in TEAMS),
                *native,
            ],
        }
        run.client.tenant("POST", "/objects", objects)
        run.skus = run.client.tenant("GET", "/summary")["skus"]
        with announced(folder / ".local" / "run" / "endpoints.json", run.stack.endpoints.json_line()):
            yield Program(run, folder)


def test_each_command_that_the_demo_prints_runs(program: Program) -> None:
    for step in next_steps(MAIN_GROUP, "SPE_E3"):
        assert step.command.startswith(f"{PROGRAM} ")
        shown = program(*step.arguments, code=step.code)
        assert shown.stdout or shown.stderr
    found = program.json("group", "show", MAIN_GROUP)
    assert found["status"]["counts"]["Active"] > 0


def test_an_export_of_all_native_groups_plans_to_nothing(program: Program) -> None:
    program.run.fire("watch_errors")
    eventually(lambda: program.json("group", "list"), lambda found: _native(found) >= {"native-one", "native-two"})
    text = program("import", "native").stdout
    assert {"  - group: native-one", "  - group: native-two"} <= set(text.splitlines())
    assert text.count("engine: watched") == text.count("# Microsoft assigns ") >= 2
    folder = program.files("native", "")
    (folder / "licenses.yaml").write_text(text)
    assert "no changes" in program("plan", str(folder)).stdout
    program("drift", str(folder))


def _native(rows: list[dict[str, Any]]) -> set[str]:
    return {each["displayName"] for each in rows if each["engine"] != "direct"}


def test_prune_stops_managing_a_group_whose_members_keep_everything(program: Program) -> None:
    named = "".join(
        group(each["displayName"], *each["products"])
        for each in program.json("group", "list", "--query", "[?engine=='direct']")
        for each in [{**each, "products": [_part(program, sku) for sku in each["assignedSkuIds"]]}]
        if each["assignedSkuIds"]
    )
    program.plan_and_apply("prune", f"groups:\n{named}{group('pruned', PRODUCT)}")
    assert set(people("pruned")) <= program.licensed()
    shown = program.plan_and_apply("prune", f"prune: true\ngroups:\n{named}")
    assert "25 members keep the licenses" in shown
    assert "0 to remove" in shown
    assert "pruned" not in {each["displayName"] for each in program.json("group", "list") if each["assignedSkuIds"]}
    program.run.until_quiet()
    assert set(people("pruned")) <= program.licensed()


def _part(program: Program, sku_id: str) -> str:
    return next(part for part, each in program.run.skus.items() if each == sku_id)


def test_a_profile_waits_for_another_person(program: Program) -> None:
    folder = program.files(
        "profiles", f"profiles:\n  sales: {{ groups: [{MAIN_GROUP}], when: {{ department: [A] }} }}\n"
    )
    file = str(program.folder / "profiles.json")
    shown = program("plan", str(folder), "-out", file, "--as", PERSON, code=2)
    assert "Plan: 1 profile to save." in " ".join(shown.stdout.split())
    program("apply", file, "--yes", "--as", PERSON, code=3)
    program("drift", str(folder), code=2)
    (waiting,) = program.json("profile", "proposals")
    program("profile", "approve", "sales", "--version", waiting["version"], "--yes", "--as", ANOTHER)
    program("drift", str(folder))
    assert [each["name"] for each in program.json("profile", "list")] == ["sales"]


def test_a_group_is_not_managed_any_more(program: Program) -> None:
    program("group", "assign", "stopped", PRODUCT, "--yes")
    preview = program("group", "stop-managing", "stopped", "--preview", code=2)
    assert "25 members keep the licenses" in preview.stdout
    program("group", "stop-managing", "stopped", "--yes")
    assert set(people("stopped")) <= program.licensed()


def test_a_plan_with_removals_waits_for_an_approval(program: Program) -> None:
    program.plan_and_apply("approved", f"groups:\n{group('approved', PRODUCT, OTHER_PRODUCT)}")
    text = f"groups:\n{group('approved', OTHER_PRODUCT)}"
    rejected = program("plan", str(program.files("approved", text)), code=1)
    assert "25 of 25 people in approved would lose something" in " ".join(rejected.stderr.split())
    program.plan_and_apply("approved", text, "--allow", "removals", code=3)
    assert set(people("approved")) <= program.licensed()
    (waiting,) = [each for each in program.json("approval", "list") if each["target"]["groupId"] == id_of("approved")]
    program("approval", "approve", waiting["id"], "--checksum", waiting["checksum"], "--yes", "--as", PERSON)
    assert not set(people("approved")) & program.licensed()
    assert set(people("approved")) <= program.licensed(OTHER_PRODUCT)
    program("drift", str(program.folder / "approved"))


def test_an_apply_that_was_killed_is_resumed_by_the_same_command(program: Program) -> None:
    names = ("first", "second", "third")
    folder = program.files("killed", "groups:\n" + "".join(group(each, PRODUCT) for each in names))
    file = program.folder / "killed.json"
    program("plan", str(folder), "-out", str(file), code=2)
    mark = f"plan-{json.loads(file.read_text())['checksum'][:32]}"
    program.run.writes()
    command = program.command("apply", str(file), "--yes")
    with subprocess.Popen(command, cwd=program.folder, env=program.environment, stdout=subprocess.DEVNULL) as apply:
        eventually(lambda: started(program, mark), lambda found: len(found) >= 1)
        apply.send_signal(signal.SIGKILL)
    before = started(program, mark)
    assert 1 <= len(before) <= 3
    program("apply", str(file), "--yes")
    after = started(program, mark)
    assert (len(after), before <= after) == (3, True)
    licensed = [each["userId"] for each in program.run.writes() if each["operation"] == "assignLicense"]
    everyone = [each for name in names for each in people(name)]
    assert sorted(each for each in licensed if each in everyone) == sorted(everyone)
    program("drift", str(folder))


def started(program: Program, mark: str) -> set[str]:
    """The operations that this plan has started."""
    rows = program.run.rows("/api/operations?$top=100")
    return {each["id"] for each in rows if each["correlationId"] == mark and not each["preview"]}
