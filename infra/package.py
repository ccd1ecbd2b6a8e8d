"""Builds what is deployed: the app without what .funcignore names, its packages for Linux, compiled, as one zip.

`python -m infra.package OUT` writes OUT/app, OUT/app.zip and OUT/app.cdx.json, the list of its packages. Run by the
Python that the app will have, 3.11 to 3.13: the byte code and the packages are that version's. Without byte code an
import takes three to five times as long, at every start of an instance, because the platform mounts the package
read-only.
"""

from __future__ import annotations

import compileall
import fnmatch
import json
import py_compile
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from infra.sbom import document, license_faults, packages_of
from shared.domain.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = Path(".python_packages/lib/site-packages")
WWWROOT = "/home/site/wwwroot"
"""Where the platform mounts the package; it appears in tracebacks."""

PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64")

GRAPH_KEPT = ("__init__.py", "base_graph_service_client.py")
"""The imported files of msgraph/generated. The app sends raw JSON through the SDK's client, and never loads 16,000
modules of models and request builders. tests/runtime sends a request with the remaining files."""

NOT_RUN = ("*.pyi", "*.pyx", "*.pxd", "*.c", "*.h")
"""Files of packages that nothing reads when the app runs."""


def ignored(path: Path, patterns: list[str]) -> bool:
    """Whether .funcignore keeps a path of the repository out: by the name of the file or of a folder above it."""
    return any(fnmatch.fnmatch(part, pattern.rstrip("/")) for part in path.parts for pattern in patterns)


def copy_app(target: Path) -> None:
    """The tracked files that belong to the app."""
    lines = (ROOT / ".funcignore").read_text().splitlines()
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if not ignored(Path(name), patterns):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def install_packages(target: Path) -> None:
    """What requirements.txt names, each file checked against its hash."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    platforms = [option for each in PLATFORMS for option in ("--platform", each)]
    exact = ["--implementation", "cp", "--python-version", version, "--only-binary=:all:", "--require-hashes"]
    lock = ["--requirement", str(ROOT / "requirements.txt")]
    subprocess.run([*command, *platforms, *exact, *lock, "--target", str(target)], check=True)


def prune(packages: Path) -> None:
    """Take out what is never loaded."""
    for path in sorted((packages / "msgraph" / "generated").iterdir()):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in GRAPH_KEPT:
            path.unlink()
    for pattern in NOT_RUN:
        for path in packages.rglob(pattern):
            path.unlink()
    shutil.rmtree(packages / "bin", ignore_errors=True)


def write_bill(packages: Path, target: Path) -> None:
    """The bill of materials. Raises SystemExit if a license is not allowed."""
    found = packages_of(packages)
    if faults := license_faults(found):
        raise SystemExit("\n".join(faults))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    target.write_text(json.dumps(document(project["name"], VERSION, found), indent=1) + "\n")


def compile_all(app: Path) -> bool:
    """Write byte code that is used unchecked: unpacking changes file times, so checked byte code would look old."""
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compiled = compileall.compile_dir(app, quiet=1, stripdir=app, prependdir=WWWROOT, invalidation_mode=unchecked)
    return bool(compiled)


def build(out: Path) -> Path:
    """The zip. Whatever an earlier run left in `out` is replaced."""
    app = out / "app"
    if app.exists():
        shutil.rmtree(app)
    app.mkdir(parents=True)
    copy_app(app)
    install_packages(app / PACKAGES)
    prune(app / PACKAGES)
    write_bill(app / PACKAGES, out / "app.cdx.json")
    if not compile_all(app):
        raise SystemExit("a module of the package does not compile")
    # azd leaves byte code out of a folder that has no such file (azure-dev, cli/azd/pkg/project/project_utils.go).
    (app / ".funcignore").touch()
    target = out / "app.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(app.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(app))
    return target


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return (
        sum(each.stat().st_size for each in path.rglob("*") if each.is_file()) if path.is_dir() else path.stat().st_size
    )


def main(out: Path) -> None:
    """Build, and print the sizes."""
    archive = build(out)
    app = out / "app"
    for name, path in (("zip", archive), ("unpacked", app), ("packages", app / PACKAGES)):
        print(f"{name:9} {size(path) / 1e6:7.1f} MB  {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
