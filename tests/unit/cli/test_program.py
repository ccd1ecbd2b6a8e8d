"""The program as a whole: help, formats, errors, exit codes, waiting, sign-in."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from seatkeeper import routes
from seatkeeper.app import in_place, run, tree
from seatkeeper.output import Column
from seatkeeper.surroundings import Surroundings
from seatkeeper.tables import fitted
from tests.support.cli import Cli
from tests.support.project import ROOT
from tests.support.runs import TEAM, Run

IMPORTED_LATE = ("httpx", "rich.table", "azure.identity", "ruamel.yaml", "jmespath", "jmespath.parser")


def _commands(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(tree, "commands", None)
    if children is None:
        yield path, tree
    for name, child in (children or {}).items():
        yield from _commands(child, (*path, name))


COMMANDS = dict(_commands(tree()))


def test_every_command_explains_itself_with_an_example_that_names_it() -> None:
    for path, found in COMMANDS.items():
        text = found.help
        assert f"seatkeeper {' '.join(path)}" in text.split("Example", 1)[1], path
        assert text.splitlines()[0].endswith((".", ":")), path


def test_every_example_can_be_parsed() -> None:
    """Its options and arguments exist."""
    import shlex

    for path, found in COMMANDS.items():
        for line in found.help.split("Example", 1)[1].splitlines()[1:]:
            words = [each for each in shlex.split(line.split(" > ")[0].split(" >> ")[0]) if each]
            if words[:1] != ["seatkeeper"]:
                continue
            arguments = ["--out" if each == "-out" else each for each in words[1 + len(path) :]]
            found.make_context(words[-1], arguments)


def test_every_route_of_the_api_has_a_command() -> None:
    described = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
    there = {(verb.upper(), re.sub(r"\{\w+\}", "{}", path)) for path, verbs in described.items() for verb in verbs}
    known = {each for each in vars(routes).values() if isinstance(each, routes.Route)}
    assert {tuple(each) for each in known} == there - {("GET", "/api/openapi.json"), ("GET", "/api/health")}
    source = "".join(each.read_text() for each in (ROOT / "cli" / "seatkeeper").rglob("*.py"))
    for name, value in vars(routes).items():
        if isinstance(value, routes.Route):
            assert f"routes.{name}" in source, name


def test_help_loads_nothing_that_takes_long() -> None:
    code = "import sys; from seatkeeper.app import tree; tree(); print(*sys.modules)"
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT / "cli").stdout.split()
    assert not set(IMPORTED_LATE) & set(shown)


def test_it_imports_only_declared_packages_and_nothing_of_the_app() -> None:
    import ast

    declared = {"typer", "rich", "httpx", "azure", "ruamel", "jmespath", "seatkeeper"}
    for path in (ROOT / "cli" / "seatkeeper").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in names:
                top = name.split(".")[0]
                assert top in declared or top in sys.stdlib_module_names, f"{path}: {name}"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_scripts_name_the_program(cli: Cli, shell: str) -> None:
    shown = cli("completion", shell)
    assert (shown.code, "seatkeeper" in shown.out) == (0, True)


def test_an_error_is_the_apis_with_its_request_id(run: Run, cli: Cli) -> None:
    shown = cli("operation", "show", "f" * 32)
    assert shown.code == 1
    assert "Code: NotFound (HTTP 404)" in shown.err
    assert re.search(r"Request ID: \S+", shown.err)
    error = json.loads(cli("operation", "show", "f" * 32, "-o", "json").err)["error"]
    assert error["code"] == "NotFound"
    assert error["innerError"]["request-id"]


def test_a_busy_app_is_asked_again_after_its_time(run: Run, cli: Cli) -> None:
    answers = [httpx.Response(429, headers={"retry-after": "7"}, json={}), httpx.Response(503, json={})]
    cli.here.before = lambda request: answers.pop(0) if answers else None
    assert cli("group", "list").code == 0
    assert cli.slept == [7.0, 5.0]


def test_an_app_that_stays_busy_is_an_error(run: Run, cli: Cli) -> None:
    cli.here.before = lambda request: httpx.Response(503, headers={"retry-after": "50"}, text="down for maintenance")
    shown = cli("group", "list")
    assert (shown.code, "HTTP 503: down for maintenance" in shown.err, cli.slept) == (1, True, [50.0, 50.0])


def test_no_answer_at_all_is_explained(cli: Cli) -> None:
    def reject(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    cli.here.before = reject
    shown = cli("group", "list")
    assert (shown.code, "does not answer: Connection refused" in shown.err) == (1, True)


def test_a_page_in_place_of_json_is_explained(cli: Cli) -> None:
    cli.here.before = lambda request: httpx.Response(200, text="<html>")
    assert "not JSON" in cli("group", "list").err


def test_a_link_to_another_host_gets_no_token(run: Run, cli: Cli) -> None:
    linked = {"value": [], "@odata.nextLink": "https://elsewhere.example/api/operations?$skiptoken=1"}
    cli.here.before = lambda request: httpx.Response(200, json=linked)
    shown = cli("operation", "list")
    assert (shown.code, "another host" in shown.err) == (1, True)
    assert len(cli.here.seen) == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("group", "assign"), "Try: seatkeeper group assign --help"),
        (("group", "lst"), "No such command 'lst'"),
        (("group", "list", "--status", "bad"), "Allowed: ok, running, error"),
        (("api", "FETCH", "/api/groups"), "Unknown method"),
        (("group", "list", "--query", "[?"), "not JMESPath"),
        (("group", "list", "--as", "Global Administrator"), "needs --local"),
        (("user", "history", TEAM, "--since", "soon"), "is not a time"),
        (("group", "list", "--local"), "No running `make run` was found"),
    ],
)
def test_wrong_arguments_are_explained(run: Run, cli: Cli, arguments: tuple[str, ...], text: str) -> None:
    shown = cli(*arguments)
    assert (shown.code, text in shown.err) == (1, True), shown.err


def test_formats_and_queries(run: Run, cli: Cli) -> None:
    cli("group", "assign", TEAM, "SMALL", "--yes")
    assert cli("product", "list", "--query", "[?skuPartNumber=='SMALL'].skuPartNumber").out == "SMALL\n"
    assert (
        cli("product", "list", "--query", "[0].{Name: skuPartNumber, Free: available}", "-o", "csv").out
        == "Name,Free\nSMALL,1000\n"
    )
    assert cli("product", "list", "-o", "tsv").out.splitlines()[0].split("\t")[1] == "SMALL"
    assert cli("product", "show", "small", "-o", "json", "--query", "skuPartNumber").json == "SMALL"


def test_a_cell_is_no_formula_and_moves_no_cursor() -> None:
    from seatkeeper.output import plain, text

    assert plain("=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert plain(-3) == "-3"
    assert "\x1b" not in text("\x1b[2J name\u202e")


def test_tables_have_no_color_in_a_pipe_and_fit_80_columns(run: Run, cli: Cli) -> None:
    run.people(3)
    cli("group", "assign", TEAM, "SMALL", "LARGE", "--yes")
    for command in (
        ("group", "list"),
        ("group", "members", TEAM),
        ("operation", "list"),
        ("product", "list"),
        ("audit", "search"),
    ):
        shown = cli(*command)
        assert shown.code == 0, shown.err
        assert "\x1b" not in shown.out
        assert max(map(len, shown.out.splitlines())) <= 80, command
        assert all(line == line.rstrip() for line in shown.out.splitlines()), command


def test_words_are_never_broken() -> None:
    columns = [Column("A", "a"), Column("B", "b", keep=True)]
    cells = [["one two three four five", "x" * 36]]
    widths = fitted(columns, cells, 50)
    assert widths == [12, 36]
    assert fitted(columns, [["one", "x" * 79]], 80) is None


def test_without_an_address_the_next_step_is_named(tmp_path: Path) -> None:
    import io

    err = io.StringIO()
    around = Surroundings(
        out=io.StringIO(), err=err, variables={"HOME": str(tmp_path)}, folder=tmp_path, interactive=False
    )
    assert run(["group", "list"], around) == 1
    assert "SEATKEEPER_URL" in err.getvalue()


@pytest.mark.parametrize("url", ["http://licensing.contoso.com", "licensing.contoso.com", "ftp://x"])
def test_a_token_is_only_sent_encrypted(cli: Cli, url: str) -> None:
    shown = cli("group", "list", "--url", url)
    assert shown.code == 1
    assert not cli.here.seen


def test_the_escape_hatch_calls_any_route(run: Run, cli: Cli) -> None:
    run.people(2)
    assert cli("api", "GET", "/api/subscribedSkus", "--query", "length(value)").out.strip() == "3"
    found = cli("api", "POST", "/api/groups/search", "--body", json.dumps({"search": TEAM}))
    assert found.json["value"][0]["id"] == TEAM
    rejected = cli("api", "POST", f"/api/groups/{TEAM}/reprocessLicenseAssignment")
    assert (rejected.code, "Add --yes" in rejected.err) == (1, True)


def test_all_pages_are_read(run: Run, cli: Cli) -> None:
    run.people(5)
    cli("group", "assign", TEAM, "SMALL", "--yes")
    assert len(cli("api", "GET", f"/api/groups/{TEAM}/members?$top=2", "--all").json["value"]) == 5


def test_login_stores_no_secret(run: Run, cli: Cli, tmp_path: Path) -> None:
    done = cli("auth", "login", "--scope", "api://x/.default")
    assert done.code == 0, done.err
    stored = json.loads((tmp_path / ".config" / "seatkeeper" / "config.json").read_text())
    assert stored == {"url": "https://licensing.example", "scope": "api://x/.default"}
    assert cli("auth", "status", "-o", "json").json["accepted"] is True
    cli("auth", "logout")
    assert not (tmp_path / ".config" / "seatkeeper" / "config.json").exists()


def test_the_reference_is_that_of_the_commands() -> None:
    from seatkeeper.reference import pages

    assert (ROOT / "docs" / "reference" / "cli.md").read_text() == pages()


def test_common_options_also_go_before_the_command() -> None:
    before = ["--local", "--as", "Global Administrator", "-o", "json", "--url=http://x", "group", "list"]
    after = ["group", "list", "--local", "--as", "Global Administrator", "-o", "json", "--url=http://x"]
    assert in_place(before) == after
    assert in_place(["--local", "api", "--", "GET"]) == ["api", "--local", "--", "GET"]
    assert (in_place(["--local"]), in_place(["--version"])) == ([], ["--version"])
