"""`make conformance`: the queue tests that azure-servicebus ships in its source distribution, against the emulator.

The distribution of the installed version is fetched, not committed. Failures that are known stand in known.json by node
id with their reason; any other failure, a known one that passes, or fewer passes than recorded there is an error.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FOLDER = ROOT / ".local" / "conformance"
FILES = ("test_queues.py", "async_tests/test_queues_async.py")
TIMEOUT_S = 480
WHOLE_S = 3600


def main() -> int:
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__)
    parser.add_argument("--workers", type=int, default=8, help="most of a test's time is waiting")
    parser.add_argument("-k", default="", help="only tests whose name has this; nothing is then asked of the counts")
    options = parser.parse_args()
    tests = _fetched(version("azure-servicebus"))
    report = FOLDER / "report.xml"
    report.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", str(tests), "-p", "plain_tcp"),
        *("-p", "no:logging", "-p", "no:cacheprovider", "--noconftest", "-W", "ignore", "-o", "asyncio_mode=auto"),
        *("-o", "junit_family=xunit1", f"--timeout={TIMEOUT_S}", "-n", str(options.workers)),
        *(f"--junitxml={report}", *(str(tests / name) for name in FILES)),
    ]
    if options.k:
        command += ["-k", options.k]
    paths = (HERE / "shims", ROOT, tests, tests / "async_tests")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, cwd=FOLDER, env=environment, check=False, timeout=WHOLE_S)
    return _verdict(report, partial=bool(options.k))


def _fetched(wanted: str) -> Path:
    """The tests of the source distribution, downloaded once."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder = FOLDER / f"azure_servicebus-{wanted}"
    if not folder.exists():
        download = (*("-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"), "-d", str(FOLDER))
        subprocess.run([sys.executable, *download, f"azure-servicebus=={wanted}"], check=True, timeout=300)
        with tarfile.open(FOLDER / f"azure_servicebus-{wanted}.tar.gz") as archive:
            archive.extractall(FOLDER, filter="data")
    return folder / "tests"


def _verdict(report: Path, *, partial: bool) -> int:
    """Print the counts and what is not as known; 1 where something is not."""
    known = json.loads((HERE / "known.json").read_text())
    outcome: dict[str, str] = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        kinds = {child.tag for child in case}
        outcome[name] = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
    wrong = []
    for module, least in known["passes"].items():
        mine = {name: what for name, what in outcome.items() if name.startswith(module)}
        passed = sum(what == "passed" for what in mine.values())
        print(f"{module}: {passed} of {len(mine)} passed, at least {least} must")
        if passed < least and not partial:
            wrong.append(f"{module}: only {passed} passed, {least} did before")
    failed = {name for name, what in outcome.items() if what == "failed"}
    wrong += [f"fails: {name}" for name in sorted(failed - known["failures"].keys())]
    passing = {name for name in known["failures"] if outcome.get(name) == "passed"}
    wrong += [f"passes now, take it off the list: {name}" for name in sorted(passing)]
    for line in wrong:
        print(line)
    print(f"{len(failed & known['failures'].keys())} known failures, {len(wrong)} unexpected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
