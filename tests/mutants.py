"""`make mutants`: put small errors into the code that decides about licenses and see if a unit test notices each one.

mutmut creates the mutants of a module and runs those of its unit tests that call the mutated function. Each module has
its own folder in .local/mutants, so that a stopped run can continue. Killed mutants are not tested again until their
function changes; survivors are. Lists the survivors; docs/mutants.md gives the reason for each one.
The exit code is 1 if less than 90 % of the mutants of a module are killed.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".local" / "mutants"
LEAST_KILLED = 0.9
MODULES = {
    "allowance": ("test_allowance",),
    "ledger": ("test_ledger", "test_adoption", "test_late_reads", "test_ledger_retention"),
    "budget": ("test_budget", "test_budget_values"),
    "removals": ("test_removals", "test_plan", "test_plan_values"),
    "plan": ("test_plan", "test_plan_values", "test_removals"),
}
"""The modules and the tests about each. The property tests of plans are left out: they take seconds per mutant."""
KILLED = (1, 3)
TIMED_OUT = (36, 24, -24, 152, 255)
"""mutmut's exit codes for a mutant: a test failed, or the tests did not end in time, which people notice too."""

SETTINGS = """
[tool.mutmut]
source_paths = ["shared"]
only_mutate = ["{path}"]
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = ["--hypothesis-seed=0", "-p", "no:cacheprovider"]
timeout_multiplier = 3.0
timeout_constant = 10.0
on_dependency_change = "ignore"
"""


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test noticed: its line, and the code before and after the mutation."""

    name: str
    line: int
    before: str
    after: str


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"one of {', '.join(MODULES)}; default: all")
    parser.add_argument("--fresh", action="store_true", help="forget the results of earlier runs")
    parser.add_argument("--show", action="store_true", help="only print the results of earlier runs")
    options = parser.parse_args()
    if unknown := sorted(set(options.modules) - set(MODULES)):
        parser.error(f"no module {', '.join(unknown)}: choose from {', '.join(MODULES)}")
    enough = True
    for module in options.modules or MODULES:
        path = Path("shared", "domain", f"{module}.py")
        folder = FOLDER / module
        if not options.show:
            run(path, folder, [f"tests/unit/domain/{name}.py" for name in MODULES[module]], fresh=options.fresh)
        enough &= report(path, folder)
    return 0 if enough else 1


def run(path: Path, folder: Path, tests: list[str], *, fresh: bool) -> None:
    """Test the mutants that no earlier run killed."""
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    # mutmut adds new files to its copy and deletes none: deleted tests would run forever.
    shutil.rmtree(folder / "mutants" / "tests", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("shared", "tests"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(ROOT / name)
    settings = SETTINGS.format(path=path, tests=json.dumps(tests))
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + settings)
    forget_survivors(path, folder)
    mutmut(folder, "run", "--max-children", "1")


def forget_survivors(path: Path, folder: Path) -> None:
    """Let mutmut test survivors and timeouts again, with every test that calls their function now."""
    (folder / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    kept = kept_results(path, folder)
    if kept.exists():
        known = json.loads(kept.read_text())
        codes = known["exit_code_by_key"]
        known["exit_code_by_key"] = {name: code if code in KILLED else None for name, code in codes.items()}
        kept.write_text(json.dumps(known))


def mutmut(folder: Path, *arguments: str) -> None:
    """Run mutmut in the folder of a module. Its progress display is for terminals; otherwise it goes to a file."""
    command = [str(Path(sys.executable).with_name("mutmut")), *arguments]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    with (folder / "run.log").open("a") as log:
        output = None if sys.stdout.isatty() else log
        ended = subprocess.run(command, cwd=folder, env=environment, stdout=output, stderr=output, check=False)
    if ended.returncode:
        sys.exit(f"mutmut {arguments[0]} ended with {ended.returncode}; see {folder / 'run.log'}")


def kept_results(path: Path, folder: Path) -> Path:
    """mutmut's file of results: the exit code of the tests by mutant, null if it was not tested yet."""
    return folder / "mutants" / f"{path}.meta"


def report(path: Path, folder: Path) -> bool:
    """Print a module's figures and survivors. Returns whether enough mutants were killed."""
    kept = kept_results(path, folder)
    codes: dict[str, int | None] = json.loads(kept.read_text())["exit_code_by_key"] if kept.exists() else {}
    killed = sum(code in (*KILLED, *TIMED_OUT) for code in codes.values())
    timed_out = sum(code in TIMED_OUT for code in codes.values())
    untested = sum(code is None for code in codes.values())
    share = killed / len(codes) if codes else 0.0
    print(
        f"\n{path}: {killed} of {len(codes)} mutants killed ({share:.1%}), {timed_out} of them by a timeout"
        + (f"; {untested} not tested yet" if untested else "")
    )
    survived = [name for name, code in codes.items() if code not in (*KILLED, *TIMED_OUT, None)]
    for survivor in sorted((survivor_of(name, path, folder) for name in survived), key=lambda each: each.line):
        print(f"  {path}:{survivor.line}  {survivor.name}\n    - {survivor.before}\n    + {survivor.after}")
    return share >= LEAST_KILLED


def survivor_of(name: str, path: Path, folder: Path) -> Survivor:
    """The details of a mutant. mutmut counts lines from the start of the function."""
    command = [str(Path(sys.executable).with_name("mutmut")), "show", name]
    shown = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    hunk = re.search(r"^@@ -(\d+).*?@@.*?\n(.*)", shown, re.MULTILINE | re.DOTALL)
    if hunk is None:
        raise ValueError(f"mutmut shows no difference for {name}: {shown}")
    lines = hunk[2].splitlines()
    first = next(index for index, line in enumerate(lines) if line[:1] in "-+")
    before = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
    after = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
    short = name.rsplit(".", 1)[1]
    # The function f is called x_f in the name of a mutant, the method m of the class C xǁCǁm.
    start = start_of(path, *short.partition("__mutmut_")[0][2:].split("ǁ"))
    return Survivor(short, start + int(hunk[1]) + first - 1, before, after)


def start_of(path: Path, *names: str) -> int:
    """The line where a function or a method begins."""
    body: list[ast.stmt] = ast.parse((ROOT / path).read_text()).body
    found: ast.stmt | None = None
    for name in names:
        found = next(each for each in body if isinstance(each, ast.FunctionDef | ast.ClassDef) and each.name == name)
        body = found.body if isinstance(found, ast.ClassDef) else []
    if not isinstance(found, ast.FunctionDef):
        raise ValueError(f"{path} has no function {'.'.join(names)}")
    return min([found.lineno, *(each.lineno for each in found.decorator_list)])


if __name__ == "__main__":
    sys.exit(main())
