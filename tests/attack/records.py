"""Attempts on the audit log: identities that a message claims, and rows and records that are changed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from azure.data.tables import TableClient, TableServiceClient, UpdateMode
from azure.storage.blob import BlobServiceClient

from tests.attack.arena import ALLOWED, HR_ONE, ONE, OTHER_SKU, Arena
from tests.attack.expected import EVERYTHING
from tests.attack.hr import new, sent, settled
from tests.support.days import HOUR
from tests.support.stack_journeys import eventually

AUDIT = "audit log"
CEO = "ceo@attack.example"

Row = dict[str, Any]


def try_claims(arena: Arena) -> None:
    """Whoever a message claims to be, the entry names whom the token or the queue named."""
    _job(arena)
    _hr_event(arena)
    _headers(arena)


def _job(arena: Arena) -> None:
    add = [{"skuId": arena.run.skus[OTHER_SKU], "disabledPlans": []}]
    job = {"version": "1.0", "id": f"job-{arena.number()}", "operation": "assignLicense", "groupId": ALLOWED}
    arena.send("jobs", {**job, "addLicenses": add, "requestedBy": CEO})

    def of_ceo() -> list[Row]:
        return [each for each in arena.audit() if each["claimedBy"] == CEO]

    for each in eventually(of_ceo, bool)[:20]:
        by = each["initiatedBy"]
        right = by["kind"] == "app" and by["channel"] == "jobs" and by["id"] is None and CEO not in json.dumps(by)
        arena.results.must(AUDIT, f"a job that claims to be the CEO, {each['activityDisplayName']}", right, by)
    arena.run.until_quiet()


def _hr_event(arena: Arena) -> None:
    (user,) = arena.people(1)
    key = sent(arena, new(arena, "joiner", user, attributes={"department": "Sales"}))
    settled(arena, key)
    arena.run.until_quiet()
    of_user = [each for each in arena.audit() if each["userId"] == user]
    arena.results.must(AUDIT, "an event of HR leaves entries", bool(of_user), key, denial=False)
    for each in of_user:
        claims = each["claimedBy"] in (None, ONE) and each["initiatedBy"]["id"] != ONE
        arena.results.must(AUDIT, f"the source of HR, {each['activityDisplayName']}", claims, each["initiatedBy"])


def _headers(arena: Arena) -> None:
    """Names in headers change nothing of the entry."""
    oid = arena.someone()
    names = {
        "x-ms-client-principal-name": CEO,
        "x-ms-client-principal-id": HR_ONE,
        "from": CEO,
        "x-forwarded-user": CEO,
    }
    arena.ask("POST", "/api/writing/turnOn", {**arena.person(EVERYTHING, oid=oid), **names}, {})
    found = [each for each in arena.audit() if each["initiatedBy"]["id"] == oid]
    right = CEO not in json.dumps(found)
    arena.results.must(AUDIT, "a name in a header", right, found[:1])


def try_tampering(arena: Arena) -> None:
    """Code with rights on the tables changes, deletes and adds entries, and records of the digests."""
    results = arena.results
    entry = _in_a_closed_hour(arena)
    results.must(AUDIT, "the log as it is", _verified(arena), "not verified", denial=False)
    for name, change in (("changed", _rewritten), ("deleted", None), ("added", _doubled)):
        with _tampered(arena, entry, change):
            results.must(AUDIT, f"an entry that was {name}", not _verified(arena), "verified")
    results.must(AUDIT, "the log with its rows again", _verified(arena), "not verified", denial=False)
    for name, spoil in (("changed", _spoiled), ("cut", lambda data: data[: len(data) // 2]), ("empty", lambda _: b"")):
        with _records_replaced(arena, spoil):
            results.must(AUDIT, f"records that were {name}", not _verified(arena), "verified")
    results.must(AUDIT, "the log with its records again", _verified(arena), "not verified", denial=False)
    for role in ("Onboarding.Write", "Onboarding.Read", "Helpdesk Administrator"):
        answer = arena.ask("GET", "/api/audit/verify", arena.person(role))
        results.must_deny(AUDIT, f"{role} verifies", answer, 403)


def _in_a_closed_hour(arena: Arena) -> str:
    """The ID of an entry whose hour is closed, in whatever minute this begins.

    The first hour that is ever closed is the last one that has ended; older entries are in no record. So the entry is
    made after that, and a moved clock closes its own hour.
    """
    arena.days.pass_by(HOUR + 900, "close_audit_hours")
    eventually(lambda: arena.run.client.api("GET", "/api/overview")["auditDigests"]["closedHour"], bool)
    oid = arena.someone()
    arena.ask("POST", "/api/writing/turnOn", arena.person(EVERYTHING, oid=oid), {})
    (entry,) = eventually(lambda: [each for each in arena.audit() if each["initiatedBy"]["id"] == oid], bool)
    arena.days.pass_by(HOUR + 900, "close_audit_hours")
    return str(entry["id"])


def _verified(arena: Arena) -> bool:
    answer = arena.ask("GET", "/api/audit/verify", arena.person("Licensing.Read"))
    if answer.status != 200:
        raise AssertionError(f"{answer}: {answer.body.decode(errors='replace')}")
    return bool(answer.json["verified"])


def _entries(row: Row) -> list[Any]:
    """The entries of a row, each with its ID first."""
    found: list[Any] = json.loads(zlib.decompress(row["entries0"])) if "entries0" in row else []
    return found


def _rewritten(row: Row) -> Row:
    """The first entry names another initiator."""
    entries = _entries(row)
    entries[0][3][0] = "00000000-0000-4000-8000-000000000000"
    return {**row, "entries0": zlib.compress(json.dumps(entries).encode())}


def _doubled(row: Row) -> Row:
    """A further entry like the first, with an id of its own."""
    entries = _entries(row)
    added = [*entries, [f"{entries[0][0][:-1]}x", *entries[0][1:]]]
    return {**row, "entries0": zlib.compress(json.dumps(added).encode())}


@contextmanager
def _tampered(arena: Arena, entry: str, change: Callable[[Row], Row] | None) -> Iterator[None]:
    """The row of an entry, changed or deleted for a while."""
    ends = arena.run.stack.endpoints
    with TableServiceClient.from_connection_string(ends.tables_connection) as service:
        table, row = _row_of(service, ends.table_prefix, entry)
        keys = row["PartitionKey"], row["RowKey"]
        if change is None:
            table.delete_entity(*keys)
        else:
            table.upsert_entity(change(row), mode=UpdateMode.REPLACE)
        try:
            yield
        finally:
            table.upsert_entity(row, mode=UpdateMode.REPLACE)


def _row_of(service: TableServiceClient, prefix: str, entry: str) -> tuple[TableClient, Row]:
    """The row of the log that has an entry, and its table: that of a month."""
    for name in sorted(each.name for each in service.list_tables()):
        if name.removeprefix(f"{prefix}audit").isdecimal():
            table = service.get_table_client(name)
            for row in map(dict, table.list_entities()):
                if any(each[0] == entry for each in _entries(row)):
                    return table, row
    raise LookupError(f"the audit log has no entry {entry}")


def _spoiled(data: bytes) -> bytes:
    """Another hash in the first record."""
    at = data.index(b'"digest"') - 40 if b'"digest"' in data else len(data) // 2
    return data[:at] + (b"0" if data[at : at + 1] != b"0" else b"1") + data[at + 1 :]


@contextmanager
def _records_replaced(arena: Arena, spoil: Callable[[bytes], bytes]) -> Iterator[None]:
    """All blobs of records, spoiled for a while."""
    connection = arena.run.stack.endpoints.tables_connection
    with BlobServiceClient.from_connection_string(connection) as service:
        container = service.get_container_client("audit")
        kept = {each.name: container.download_blob(each.name).readall() for each in container.list_blobs()}

        def put(contents: dict[str, bytes]) -> None:
            for name, data in contents.items():
                blob = container.get_blob_client(name)
                blob.create_append_blob()
                if data:
                    blob.append_block(data)

        put({name: spoil(data) for name, data in kept.items()})
        try:
            yield
        finally:
            put(kept)
