"""A stand-in for the Azure CLI: `az account show` and `az rest` on applications and service principals of Graph.

Its directory is the JSON file named by FAKE_AZ_STATE; it is run in a process of its own for each call, as the real one
is. `fail` in the state is the number of the writing call that is rejected. Every write is kept in `writes`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jmespath

TENANT = "8da3075e-f5eb-5d83-bb90-9a271280a4fd"
GRAPH_APP = "00000003-0000-0000-c000-000000000000"


class Rejected(Exception):
    """An error answer of Graph."""


def main(arguments: list[str]) -> int:
    path = Path(os.environ["FAKE_AZ_STATE"])
    state = json.loads(path.read_text())
    parser = argparse.ArgumentParser()
    parser.add_argument("command", nargs="+")
    for name in ("--method", "--url", "--headers", "--body", "--query"):
        parser.add_argument(name)
    parser.add_argument("-o", "--output", default="json")
    given = parser.parse_args(arguments)
    try:
        answer = {"tenantId": TENANT} if given.command == ["account", "show"] else rest(state, given)
    except Rejected as fault:
        print(f"ERROR: {fault}", file=sys.stderr)
        return 1
    finally:
        path.write_text(json.dumps(state))
    show(jmespath.search(given.query, answer) if given.query else answer, given.output)
    return 0


def rest(state: dict[str, Any], given: argparse.Namespace) -> Any:
    assert given.command == ["rest"], given.command
    url = urlsplit(given.url)
    assert url.netloc == "graph.microsoft.com", given.url
    assert url.path.startswith("/v1.0/"), given.url
    path, query = url.path.removeprefix("/v1.0/"), parse_qs(url.query)
    body = json.loads(given.body) if given.body else None
    if given.method != "get":
        assert given.method == "delete" or given.headers == "Content-Type=application/json"
        state["writes"].append([given.method, path, body])
        if len(state["writes"]) == state.get("fail"):
            raise Rejected("Authorization_RequestDenied: Insufficient privileges to complete the operation.")
    return answer(state, given.method, path.split("/"), query, body)


def answer(state: dict[str, Any], method: str, path: list[str], query: dict[str, list[str]], body: Any) -> Any:
    match method, path:
        case "get", [name] if name == f"servicePrincipals(appId='{GRAPH_APP}')":
            return state["graph"]
        case "get", ["servicePrincipals", _, "appRoleAssignments"]:
            return {"value": state["grants"], **({"@odata.nextLink": "more"} if state.get("paged") else {})}
        case "post", ["servicePrincipals", principal, "appRoleAssignments"]:
            assert body["principalId"] == principal
            if any(each["appRoleId"] == body["appRoleId"] for each in state["grants"]):
                raise Rejected("Permission being assigned already exists on the object")
            return stored(state["grants"], body)
        case "delete", ["servicePrincipals", _, "appRoleAssignments", grant]:
            return removed(state["grants"], grant)
        case "get", [collection] if collection in ("applications", "servicePrincipals"):
            return {"value": filtered(state[collection], query)}
        case "post", [collection] if collection in ("applications", "servicePrincipals"):
            return stored(state[collection], {"appId": str(uuid.uuid4()), "credentials": [], **body})
        case "get", ["applications", object_id]:
            return one(state["applications"], object_id)
        case "patch", ["applications", object_id]:
            return changed(one(state["applications"], object_id), body)
        case "get", ["applications", object_id, "federatedIdentityCredentials"]:
            return {"value": one(state["applications"], object_id)["credentials"]}
        case "post", ["applications", object_id, "federatedIdentityCredentials"]:
            return stored(one(state["applications"], object_id)["credentials"], body)
        case "patch", ["applications", object_id, "federatedIdentityCredentials", credential]:
            return one(one(state["applications"], object_id)["credentials"], credential).update(body)
        case _:
            raise AssertionError((method, path))


def stored(rows: list[Any], body: dict[str, Any]) -> Any:
    rows.append({**body, "id": str(uuid.uuid4())})
    return rows[-1]


def changed(app: dict[str, Any], body: dict[str, Any]) -> None:
    """A patch of an application: an enabled scope can only be disabled
    (github.com/microsoftgraph/msgraph-sdk-dotnet issue 1888)."""
    asked = body.get("api", {}).get("oauth2PermissionScopes")
    for scope in app.get("api", {}).get("oauth2PermissionScopes", []) if asked is not None else []:
        if scope["isEnabled"] and scope not in asked and {**scope, "isEnabled": False} not in asked:
            raise Rejected("Permission (scope or role) cannot be deleted or updated unless disabled first.")
    app.update(body)


def removed(rows: list[Any], row_id: str) -> None:
    rows.remove(one(rows, row_id))


def one(rows: list[Any], row_id: str) -> Any:
    found = [each for each in rows if each["id"] == row_id]
    if not found:
        raise Rejected(f"Resource '{row_id}' does not exist")
    return found[0]


def filtered(rows: list[Any], query: dict[str, list[str]]) -> list[Any]:
    match = re.fullmatch(r"(\w+) eq '([^']*)'", query["$filter"][0])
    assert match, query
    return [each for each in rows if each.get(match.group(1)) == match.group(2)]


def show(value: Any, output: str) -> None:
    if output == "json":
        print(json.dumps(value))
    elif isinstance(value, list):
        for row in value:
            print("\t".join("None" if cell is None else str(cell) for cell in row) if isinstance(row, list) else row)
    elif value is not None:
        print(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
