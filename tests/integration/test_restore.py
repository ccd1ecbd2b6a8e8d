"""A restore of the app's tables from a file that is a day old: no license is removed or assigned because of it.

`make restore-check` runs this against Azurite. The tenant, the clock and the queue are in memory.
"""

from __future__ import annotations

import ast
import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pytest
from azure.data.tables import TableServiceClient

from infra import backup
from shared.adapters.tables.client import Tables, TablesConfig
from shared.adapters.tables.stores import table_stores
from shared.domain.directory import AssignedLicense
from shared.domain.ids import UserId
from shared.domain.operation import LicenseChange, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.maintenance.protected_people import read_protected_people
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.operations.accept import accept
from shared.handlers.operations.members_queue import Members
from tests.integration.azurite import running
from tests.support.changes_by_hand import give_by_hand, take_by_hand
from tests.support.project import ROOT
from tests.support.runs import EXTRA, MIA, SMALL, TEAM, Run, user
from tests.support.worlds import fake_world

EVERYTHING = ("assignments", "usergrants", "ledger", "profiles")


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("azurite"), indexed=True) as connection:
        yield connection


class Stage:
    """An app on tables in Azurite that can be lost and restored."""

    def __init__(self, connection: str, folder: Path) -> None:
        self.connection, self.prefix = connection, f"r{token_hex(4)}"
        self.file = folder / "saved.jsonl.gz"
        self.service = TableServiceClient.from_connection_string(connection)
        self.opened: list[Tables] = []
        self.run = Run(fake_world())

    async def start(self) -> None:
        """The app starts: nothing that it remembered is left. Its timer reads the protected people again."""
        tables = Tables(TablesConfig(self.prefix, self.connection))
        self.opened.append(tables)
        self.run.fakes.queue.messages.clear()
        self.run.world = replace(self.run.world, stores=table_stores(tables))
        self.run.workers = [Members(self.run.world), Members(self.run.world)]
        await read_protected_people(self.run.world)

    def lose(self, *names: str) -> None:
        """All rows of tables; every table if none is named."""
        for each in self.service.list_tables():
            name = each.name.removeprefix(self.prefix)
            if each.name.startswith(self.prefix) and (name in names or not names):
                client = self.service.get_table_client(each.name)
                for row in client.list_entities(select=["PartitionKey", "RowKey"]):
                    client.delete_entity(row["PartitionKey"], row["RowKey"])

    def save(self) -> None:
        backup.save(self.service, self.prefix, self.file)
        self.run.later(hours=6)

    async def restore(self, *tables: str) -> None:
        backup.restore(self.service, self.prefix, self.file, tables)
        await self.start()

    async def nights(self, count: int = 2) -> None:
        for _ in range(count):
            self.run.later(days=1)
            await sync_all(self.run.world)
            await self.run.work_off()

    async def close(self) -> None:
        self.service.close()
        for each in self.opened:
            await each.close()

    def held(self) -> dict[UserId, set[str]]:
        return {each: self.run.licenses(each) for each in self.run.directory.user_ids()}

    async def managed(self, user_id: UserId) -> dict[str, bool]:
        """Managed products of a user, and whether each is unclear."""
        row = (await self.run.world.stores.ledger.rows([user_id]))[user_id]
        return {sku_id: license.unclear for sku_id, license in row.managed.items()}


@pytest.fixture
async def stage(azurite: str, tmp_path: Path) -> AsyncIterator[Stage]:
    found = Stage(azurite, tmp_path)
    await found.start()
    yield found
    await found.close()


async def leave(run: Run, *people: UserId) -> None:
    for each in people:
        run.directory.leave(TEAM, each)
    await run.reconcile(*people, cause=f"left-{people[0]}")


async def test_an_old_ledger_removes_and_assigns_nothing(stage: Stage) -> None:
    run = stage.run
    same, left, replaced, stays = run.people(4)
    await run.change([SMALL])
    stage.save()
    joined = run.directory.add_user(user(9), groups=[TEAM])
    await run.reconcile(joined)
    await leave(run, left)
    assert run.licenses(left) == set()
    take_by_hand(run, replaced)
    run.later(hours=1)
    give_by_hand(run, replaced)
    run.later(hours=1)
    before, calls = stage.held(), len(run.writer.log)

    stage.lose("ledger")
    await stage.restore("ledger")
    await stage.nights()

    assert stage.held() == before
    assert len(run.writer.log) == calls
    assert await stage.managed(joined) == {}, "assigned after the file was saved: unmanaged"
    assert await stage.managed(left) == {}, "removed since then"
    assert await stage.managed(same) == {SMALL.sku_id: False}, "unchanged since then: managed as before"

    await leave(run, same, replaced, joined)
    await stage.nights()
    assert run.licenses(same) == set(), "the ledger does what it did before"
    assert run.licenses(replaced) == {"SMALL"}, "an administrator assigned it again: a person decides"
    assert run.licenses(joined) == {"SMALL"}, "unmanaged"
    assert run.licenses(stays) == {"SMALL"}


async def given_more(run: Run, user_id: UserId) -> None:
    """A grant for a named user."""
    change = LicenseChange((AssignedLicense(SMALL.sku_id),))
    await run.finish(await accept(run.world, OperationRequest(Target(user_ids=(user_id,)), MIA, change)))


async def everything_lost(stage: Stage) -> tuple[UserId, UserId, UserId]:
    """A day of changes that the file does not have, then the loss of every table.

    The group gave SMALL when the file was saved. Since then it gives EXTRA. `kept` left the group and has SMALL for
    a reason of their own, and `ended` had one that ended.
    """
    run = stage.run
    stays, kept, ended = run.people(3)
    await run.change([SMALL])
    await given_more(run, ended)
    stage.save()
    await given_more(run, kept)
    await leave(run, kept)
    await run.change([EXTRA], [SMALL])
    grant = (await run.world.stores.grants.of_users([ended]))[ended]
    await run.world.stores.grants.remove([(ended, each) for each in grant])
    await run.reconcile(ended, cause="ended")
    await stage.nights(1)
    assert [run.licenses(each) for each in (stays, kept, ended)] == [{"EXTRA"}, {"SMALL"}, {"EXTRA"}]
    stage.lose()
    return stays, kept, ended


async def test_after_the_loss_of_every_table_nothing_is_written_until_a_person_says_so(stage: Stage) -> None:
    stays, kept, ended = await everything_lost(stage)
    run, before, calls = stage.run, stage.held(), len(stage.run.writer.log)

    await stage.restore(*EVERYTHING)
    newcomer = run.directory.add_user(user(8), groups=[TEAM])
    await run.reconcile(newcomer, stays, kept, ended, cause="after")
    await stage.nights()

    assert stage.held() == {**before, newcomer: set()}
    assert len(run.writer.log) == calls
    assert await stage.managed(kept) == {SMALL.sku_id: True}, "only an approval removes it"

    await run.change([EXTRA], [SMALL])
    assert [run.licenses(each) for each in (stays, ended, newcomer)] == [{"EXTRA"}] * 3
    assert run.licenses(kept) == {"SMALL"}


async def test_rows_restored_as_they_were_would_assign_what_was_taken_away_since(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the restore leaves out is what keeps it harmless."""
    stays, kept, _ = await everything_lost(stage)
    monkeypatch.setattr(backup, "HARMLESS", {})
    monkeypatch.setattr(backup, "_doubt", lambda _: 0)
    await stage.restore(*EVERYTHING)
    await stage.run.reconcile(stays, kept, cause="after")
    await stage.nights()
    assert "SMALL" in stage.run.licenses(stays), "assigned by the old assignment"
    assert stage.run.licenses(kept) == set(), "removed for want of the newer grant"


AZ = """#!/bin/sh
# Uploads into a folder: az storage blob upload, with the options of the script. Fails while the file `away` is there.
test ! -e "$FOLDER/away" || exit 1
while [ $# -gt 0 ]; do
  case $1 in
    --file) file=$2 ;;
    --name) name=$2 ;;
    --account-name) account=$2 ;;
  esac
  shift
done
test ! -e "$FOLDER/$account-$name" || exit 1
cp "$file" "$FOLDER/$account-$name"
"""


def scheduled(stage: Stage, folder: Path) -> int:
    """The nightly job, with the tables in Azurite and a stand-in for the Azure CLI."""
    command = folder / "az"
    command.write_text(AZ)
    command.chmod(0o755)
    folders = {"FOLDER": str(folder), "TMPDIR": str(folder), "BACKUP_ACCOUNT": "stbackup", "PYTHON": sys.executable}
    tables = {"TablesConnection": stage.connection, "TABLE_PREFIX": stage.prefix}
    env = {**os.environ, **folders, **tables, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return subprocess.run([ROOT / "infra" / "scripts" / "backup.sh"], env=env, check=False).returncode


async def test_what_the_nightly_job_uploads_is_enough_for_a_restore(stage: Stage, tmp_path: Path) -> None:
    run = stage.run
    same, left = run.people(2)
    await run.change([SMALL])
    assert scheduled(stage, tmp_path) == 0
    run.later(hours=6)
    await leave(run, left)
    before, calls = stage.held(), len(run.writer.log)
    stage.lose()
    (stage.file,) = tmp_path.glob("stbackup-tables-*.jsonl.gz")
    await stage.restore(*EVERYTHING)
    await stage.nights()
    assert (stage.held(), len(run.writer.log)) == (before, calls)
    assert await stage.managed(same) == {SMALL.sku_id: True}
    assert list(tmp_path.glob("tmp*")) == [], "no copy stays on the machine of the job"


async def test_the_nightly_job_fails_if_nothing_was_saved_or_nothing_arrived(stage: Stage, tmp_path: Path) -> None:
    run = stage.run
    run.people(2)
    await run.change([SMALL])
    (tmp_path / "away").touch()
    assert scheduled(stage, tmp_path) == 1
    (tmp_path / "away").unlink()
    stage.prefix = "nowhere"
    assert scheduled(stage, tmp_path) == 2
    assert list(tmp_path.glob("stbackup-*")) == []


async def test_a_row_that_exists_is_newer_and_stays(stage: Stage) -> None:
    run = stage.run
    first, second = run.people(2)
    await run.change([SMALL])
    stage.save()
    await run.change([EXTRA])
    table = stage.service.get_table_client(f"{stage.prefix}ledger")
    (row,) = [each for each in table.list_entities() if each["RowKey"] == second]
    table.delete_entity(row["PartitionKey"], row["RowKey"])
    assert backup.restore(stage.service, stage.prefix, stage.file, ["ledger"]) == {"ledger": 1}
    assert (await stage.managed(first)).keys() == {SMALL.sku_id, EXTRA.sku_id}
    assert (await stage.managed(second)).keys() == {SMALL.sku_id}


async def test_a_file_that_is_not_whole_and_a_table_that_must_not_be_restored_are_rejected(stage: Stage) -> None:
    stage.run.people(2)
    await stage.run.change([SMALL])
    stage.save()
    stage.lose()
    with gzip.open(stage.file, "rt") as file:
        lines = file.readlines()
    names = {json.loads(line).get("table") for line in lines}
    assert {"ledger", "assignments"} < names
    assert not names & backup.NOT_SAVED.keys()
    with gzip.open(stage.file, "wt") as file:
        file.writelines(lines[:-2] + lines[-1:])
    with pytest.raises(ValueError, match=f"not whole: it has {len(lines) - 3} rows, and its end says {len(lines) - 2}"):
        await stage.restore("ledger")
    stage.file.write_bytes(stage.file.read_bytes()[:-20])
    with pytest.raises(ValueError, match="cannot be read"):
        await stage.restore("ledger")
    with pytest.raises(ValueError, match="permits: an old permit could allow a removal"):
        await stage.restore("ledger", "permits")
    assert list(stage.service.get_table_client(f"{stage.prefix}ledger").list_entities()) == []


def constants_of(path: Path) -> dict[str, str]:
    """The texts that a module names, also those that it imports from another module of the folder."""
    found: dict[str, str] = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("shared.adapters.tables."):
            other = constants_of(path.with_name(f"{(node.module or '').rpartition('.')[2]}.py"))
            found |= {each.asname or each.name: other[each.name] for each in node.names if each.name in other}
        if isinstance(node, ast.Assign):
            (target,) = node.targets
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            for name, value in zip(names, values, strict=False):
                if isinstance(name, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                    found[name.id] = value.value
    return found


def test_a_restore_says_what_becomes_of_every_table_of_the_app() -> None:
    found = set()
    for path in (ROOT / "shared" / "adapters" / "tables").glob("*.py"):
        constants = constants_of(path)
        used = re.findall(r"(?:tables\.\w+|Agenda|rows_of_users|cached)\((?:\w*tables, )?([A-Z_]+)\b", path.read_text())
        found |= {constants[name] for name in used if name in constants}
    assert len(found) > 20
    assert found == {*backup.SAVED, *backup.NOT_SAVED}
