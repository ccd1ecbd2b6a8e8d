"""Saves the app's tables to a file, and restores them so that the restore itself changes no license.

`python -m infra.backup save FILE` writes the tables of `SAVED`. `python -m infra.backup restore FILE TABLE...` inserts
the rows of the named tables that are missing; a row that exists is newer and stays. Table Storage has no restore to a
point in time (learn.microsoft.com/azure/storage/blobs/point-in-time-restore-overview is for block blobs only).

A file is older than the tenant. It must not undo later changes:
- A ledger row keeps only what was assigned. Half-done work, waiting times and earlier reads are left out. The app
  compares the time of each license with the ledger, so a license that has changed since is unclear or unmanaged.
- Assignments of groups and grants of users come back as if their operation had been cancelled. Users keep what they
  have, and nothing is assigned until a person applies the assignment again.
- If assignments or grants are restored, every license in the ledger is marked unclear: only an approval removes it.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.adapters.tables.rows import Row, joined_body, split_body

if TYPE_CHECKING:
    from azure.data.tables import TableClient, TableServiceClient

RESTORED = ("assignments", "usergrants", "ledger", "profiles")
"""Tables that can be restored, and the audit log month by month (`audit202611`)."""

READ_ONLY = ("standings", "onboarding")
"""Saved to be read by a person. HR sends its open events again: an old one could be carried out a second time."""

SAVED = (*RESTORED, *READ_ONLY)

NOT_SAVED: Mapping[str, str] = {
    "operations": "an old operation would continue; the audit log says what was requested",
    "sealed": "belongs to an operation",
    "chunks": "belongs to an operation",
    "permits": "an old permit could allow a removal that was never approved",
    "removals": "the ledger is read again, and due users are noted again",
    "onboardingdue": "index of open HR events",
    "onboardingended": "index of ended HR events",
    "due": "index of grants that end; the nightly sync finds them",
    "protectedpeople": "read from the directory; all removals wait until then",
    "auditnames": "a name that was erased since would come back",
    "auditpayloads": "a message that was erased since would come back",
    "auditdigest": "found again at the end of the log in the container audit",
    "auditlate": "index of entries; the hours that they belong to are listed already",
    "members": "written by the next sync",
    "groupstatus": "written by the next sync",
    "waiting": "index of the ledger",
    "moves": "an old move would continue; the group and its members are read again",
    "nesting": "read from the directory",
    "deltas": "read from the directory",
    "graphsubscriptions": "the app makes a new subscription",
    "firstcontact": "runs are repeated daily; an old open run could write again",
    "productfacts": "observed again",
    "budget": "counts writes of the last minutes",
    "health": "noted again by the next sync and the next change of the canary group",
    "idempotency": "keys of requests that have ended",
    "deadletters": "an old message could be replayed",
}
"""Tables that are not saved, and why a restore does without them."""

TRANSACTION = 100
"""Rows of one transaction (learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions)."""

SMALL = 15_000
"""Characters of a row of which a hundred fit in a transaction, with two bytes a character."""


def is_restored(table: str) -> bool:
    return table in RESTORED or (table.startswith("audit") and table[5:].isdigit())


def save(service: TableServiceClient, prefix: str, file: Path) -> Counter[str]:
    """Write the tables to a file; returns how many rows of each. The file has its end only if all was read. Raises
    ValueError if there is no table: a nightly job must not be content with an empty file."""
    names = [each.name.removeprefix(prefix) for each in service.list_tables() if each.name.startswith(prefix)]
    if not names:
        raise ValueError(f"no table begins with {prefix}: check TABLE_PREFIX and the address of the tables")
    counts: Counter[str] = Counter()
    part = file.with_name(f"{file.name}.part")
    with gzip.open(part, "wt", encoding="utf-8") as lines:
        lines.write(json.dumps({"savedAt": datetime.now(UTC).isoformat(), "prefix": prefix}) + "\n")
        for table in sorted(name for name in names if name in SAVED or is_restored(name)):
            for row in service.get_table_client(f"{prefix}{table}").list_entities():
                lines.write(json.dumps({"table": table, "row": _plain(row)}) + "\n")
                counts[table] += 1
        lines.write(json.dumps({"rows": counts.total()}) + "\n")
    part.replace(file)
    return counts


def restore(service: TableServiceClient, prefix: str, file: Path, tables: Iterable[str]) -> Counter[str]:
    """Insert the missing rows of tables; returns how many of each. Raises ValueError for a table that is not restored,
    or for a file that is not whole, before anything is written."""
    wanted = list(dict.fromkeys(tables))
    if rejected := [each for each in wanted if not is_restored(each)]:
        reasons = "; ".join(f"{each}: {NOT_SAVED.get(each, 'saved to be read only')}" for each in rejected)
        raise ValueError(f"not restored: {reasons}. Tables: {', '.join(RESTORED)}, auditYYYYMM")
    rows = _rows(file, set(wanted))
    counts: Counter[str] = Counter()
    for table in wanted:
        client = service.create_table_if_not_exists(f"{prefix}{table}")
        counts[table] = _insert(client, map(HARMLESS.get(table, _same), rows[table]))
    if {"assignments", "usergrants"} & set(wanted):
        counts["unclear"] = _doubt(service.create_table_if_not_exists(f"{prefix}ledger"))
    return counts


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON. Raises TypeError for a value of a kind that the app does not store, so that none is lost."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, bytes):
            found[name] = {"base64": base64.b64encode(value).decode()}
        elif isinstance(value, str | bool | int | float):
            found[name] = value
        else:
            raise TypeError(f"{name} is of type {type(value).__name__}, which a saved row cannot have")
    return found


def _stored(row: Mapping[str, Any]) -> Row:
    return {k: base64.b64decode(v["base64"]) if isinstance(v, dict) else v for k, v in row.items()}


def _rows(file: Path, tables: set[str]) -> dict[str, list[Row]]:
    """The rows of some tables. Raises ValueError for a file without its end."""
    found: dict[str, list[Row]] = defaultdict(list)
    count, end = 0, None
    try:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            next(lines, None)
            for line in lines:
                value = json.loads(line)
                if "row" not in value:
                    end = value.get("rows")
                    continue
                count += 1
                if value["table"] in tables:
                    found[value["table"]].append(_stored(value["row"]))
    except (EOFError, gzip.BadGzipFile, ValueError) as fault:
        raise ValueError(f"{file} cannot be read: {fault}") from fault
    if end != count:
        raise ValueError(f"{file} is not whole: it has {count} rows, and its end says {end}")
    return found


def _insert(client: TableClient, rows: Iterable[Row]) -> int:
    """Insert rows that are missing; returns how many."""
    from azure.core.exceptions import ResourceExistsError
    from azure.data.tables import TableTransactionError

    inserted = 0
    for batch in _batches(rows):
        try:
            client.submit_transaction([("create", row) for row in batch])
            inserted += len(batch)
        except TableTransactionError:
            for row in batch:
                try:
                    client.create_entity(row)
                    inserted += 1
                except ResourceExistsError:
                    continue
    return inserted


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows of one partition, few enough for a transaction of 4 MiB: long rows go alone."""
    by_partition: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_partition[row["PartitionKey"]].append(row)
    for found in by_partition.values():
        small = [row for row in found if _length(row) < SMALL]
        yield from (small[start : start + TRANSACTION] for start in range(0, len(small), TRANSACTION))
        yield from ([row] for row in found if _length(row) >= SMALL)


def _length(row: Row) -> int:
    return sum(len(value) for value in row.values() if isinstance(value, str | bytes))


def _doubt(ledger: TableClient) -> int:
    """Mark every license in the ledger unclear: a grant that is missing now must not let it be removed."""
    from azure.core import MatchConditions
    from azure.data.tables import UpdateMode

    marked = 0
    for row in ledger.list_entities():
        body = json.loads(joined_body(dict(row)))
        if not body.get("owned"):
            continue
        after = _with_body(dict(row), {**body, "owned": _unclear(body["owned"])})
        ledger.update_entity(
            after,
            mode=UpdateMode.REPLACE,
            etag=row.metadata["etag"],
            match_condition=MatchConditions.IfNotModified,
        )
        marked += 1
    return marked


def _unclear(managed: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Licenses as `packing.managed_json` stores them, each with the mark in its proof."""
    return {
        sku: [*value[:3], {**(value[3] if len(value) > 3 else {}), "unclear": True}] for sku, value in managed.items()
    }


def _with_body(row: Row, body: Mapping[str, Any]) -> Row:
    """The row with another body, whatever the length of both."""
    rest = {name: value for name, value in row.items() if name.rstrip("0123456789") != "body"}
    return {**rest, **split_body(json.dumps(body, separators=(",", ":"), ensure_ascii=False))}


def _same(row: Row) -> Row:
    return row


def _harmless_ledger(row: Row) -> Row:
    body = json.loads(joined_body(row))
    return _with_body(row, {name: body[name] for name in ("owned", "location", "denied") if name in body})


def _harmless_assignment(row: Row) -> Row:
    """As after an operation that was cancelled and kept what was done. Rows of the history stay as they were."""
    if row["PartitionKey"] != "assignment":
        return row
    body = json.loads(joined_body(row))
    skus = [{**sku, "enforcement": "cancelled"} for sku in body["skus"]]
    return _with_body(row, {**body, "skus": skus, "operationId": None, "openApproval": None, "moreHeld": False})


def _harmless_grant(row: Row) -> Row:
    return _with_body(row, {**json.loads(joined_body(row)), "adds": False})


HARMLESS: Mapping[str, Callable[[Row], Row]] = {
    "ledger": _harmless_ledger,
    "assignments": _harmless_assignment,
    "usergrants": _harmless_grant,
}
"""Table -> the row of a saved file, without anything that would start work."""


def connected() -> TableServiceClient:
    """As the app is: TablesConnection, or TablesConnection__endpoint with the sign-in of the Azure CLI."""
    from azure.data.tables import TableServiceClient
    from azure.identity import AzureCliCredential

    env: Mapping[str, str] = os.environ
    if connection := env.get("TablesConnection"):
        return TableServiceClient.from_connection_string(connection)
    endpoint = env.get("TablesConnection__endpoint", "")
    if not endpoint.startswith("https://"):
        raise ValueError("set TablesConnection__endpoint to the https address of the tables, or TablesConnection")
    return TableServiceClient(endpoint, credential=AzureCliCredential())


def main(arguments: list[str]) -> int:
    """Exit code 2 for a request that cannot be carried out; nothing is written then."""
    parser = argparse.ArgumentParser(prog="python -m infra.backup", description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("save").add_argument("file", type=Path)
    restoring = commands.add_parser("restore")
    restoring.add_argument("file", type=Path)
    restoring.add_argument("tables", nargs="+", metavar="TABLE", help=f"{', '.join(RESTORED)}, auditYYYYMM")
    given = parser.parse_args(arguments)
    prefix = os.environ.get("TABLE_PREFIX", "gbl")
    try:
        with connected() as service:
            if given.command == "save":
                counts = save(service, prefix, given.file)
            else:
                counts = restore(service, prefix, given.file, given.tables)
    except (ValueError, FileNotFoundError) as fault:
        print(fault, file=sys.stderr)
        return 2
    for name, count in sorted(counts.items()):
        print(f"{name:20} {count:9} rows {'saved' if given.command == 'save' else 'written'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
