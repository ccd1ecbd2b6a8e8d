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
from importlib.metadata import version
from pathlib import Path

from tests.conformance.verdict import Known, outcomes, passes, wrongs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FOLDER = ROOT / ".local" / "conformance"
FILES = ("test_queues.py", "async_tests/test_queues_async.py")
TIMEOUT_S = 480
WHOLE_S = 3600
SOME_FAILED = 1
"""How pytest ends when it ran everything and some tests failed."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__)
    parser.add_argument("--workers", type=int, default=8, help="most of a test's time is waiting")
    parser.add_argument("-k", default="", help="only tests whose name has this; nothing is then asked of the counts")
    parser.add_argument("--file", choices=FILES, help="one of the two files")
    options = parser.parse_args()
    files = (options.file,) if options.file else FILES
    tests = _fetched(version("azure-servicebus"))
    report = FOLDER / "report.xml"
    report.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", str(tests), "-p", "plain_tcp"),
        *("-p", "no:logging", "-p", "no:cacheprovider", "--noconftest", "-W", "ignore", "-o", "asyncio_mode=auto"),
        *("-o", "junit_family=xunit1", f"--timeout={TIMEOUT_S}", "-n", str(options.workers)),
        *(f"--junitxml={report}", *(str(tests / name) for name in files)),
    ]
    if options.k:
        command += ["-k", options.k]
    paths = (HERE / "shims", ROOT, tests, tests / "async_tests")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(command, cwd=FOLDER, env=environment, check=False, timeout=WHOLE_S).returncode
    if ended not in (0, SOME_FAILED):
        print(f"the run broke off: pytest ended with {ended}")
        return 1
    return _verdict(report, files, partial=bool(options.k))


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


def _verdict(report: Path, files: tuple[str, ...], *, partial: bool) -> int:
    """Print the counts and what is not as known; 1 where something is not."""
    known = Known(**json.loads((HERE / "known.json").read_text()))
    outcome = outcomes(report.read_text())
    for file in files:
        of_file = sum(name.startswith(f"{file}::") for name in outcome)
        print(f"{file}: {passes(outcome, file)} of {of_file} passed, {known.passes[file]} did before")
    wrong = wrongs(outcome, known, files=files, partial=partial)
    for line in wrong:
        print(line)
    failed = sum(outcome.get(name) == "failed" for name in known.failures)
    print(f"{failed} known failures, {len(wrong)} things that are not as known")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
