"""Groups that Microsoft licenses, beside groups of this app: exported to be watched, and never changed by files."""

from __future__ import annotations

import asyncio
from uuid import UUID

from shared.domain.ids import GroupId
from shared.handlers.membership.watching import watch_all
from tests.support.runs import LARGE, Run, user
from tests.unit.cli.ascode import HEAD, NAME, SMALL_TEAM, AsCode

NATIVE = GroupId(str(UUID(int=78)))
NATIVE_NAME = f"Group {NATIVE}"


def begin(run: Run, code: AsCode) -> None:
    """A group that the app has read, and one that it assigns to."""
    run.people(2)
    run.fakes.native.license(NATIVE, LARGE.sku_id, members=[user(1)])

    async def read() -> None:
        await watch_all(run.world)
        await run.work_off()

    asyncio.run(read())
    code.write(SMALL_TEAM)
    assert (code.plan().code, code.apply().code) == (2, 0)


def test_all_groups_that_microsoft_licenses_are_exported_and_no_others(run: Run, code: AsCode) -> None:
    begin(run, code)
    exported = code.cli("import", "native")
    assert exported.code == 0, exported.err
    assert "engine: watched\n    # Microsoft assigns LARGE" in exported.out
    assert (NATIVE in exported.out, NAME in exported.out) == (True, False)
    named = code.cli("import", "native", "--group", NATIVE_NAME)
    assert named.out == exported.out
    code.write(exported.out)
    assert (code.validate().code, code.plan().code, code.drift().code) == (0, 0, 0)


def test_an_export_of_the_own_groups_has_none_of_them(run: Run, code: AsCode) -> None:
    begin(run, code)
    exported = code.cli("import", "direct").out
    assert (NATIVE in exported, NAME in exported) == (False, True)
    code.write(exported)
    assert (code.plan().code, code.drift().code) == (0, 0)


def test_prune_does_not_touch_them(run: Run, code: AsCode) -> None:
    begin(run, code)
    code.write(f"{SMALL_TEAM}prune: true\n")
    shown = code.plan()
    assert (shown.code, NATIVE_NAME in shown.out + shown.err) == (0, False)
    assert code.drift().code == 0


def test_without_any_there_is_nothing_to_export(run: Run, code: AsCode) -> None:
    run.people(1)
    done = code.cli("import", "native")
    assert (done.code, "has read no group that Microsoft licenses" in done.err, done.out) == (1, True, "")


def test_a_file_still_cannot_give_one_a_second_engine(run: Run, code: AsCode) -> None:
    begin(run, code)
    code.write(f"{HEAD}groups:\n  - group: {NATIVE_NAME}\n    products: [SMALL]\n")
    shown = code.plan()
    assert (shown.code, "a file cannot change the engine" in " ".join(shown.err.split())) == (1, True), shown.err
