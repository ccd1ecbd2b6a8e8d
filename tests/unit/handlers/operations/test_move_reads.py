"""Users of a move who are read one by one: pilot users, and former members at the end."""

from __future__ import annotations

import pytest

from shared.domain.directory import ReadFailed
from shared.domain.errors import LicensingError, PermissionDenied, Unavailable
from shared.handlers.operations.move_reads import users_read
from tests.support.runs import Run, user


@pytest.mark.parametrize(
    ("failure", "expected"), [(ReadFailed("busy"), Unavailable), (ReadFailed("no", denied=True), PermissionDenied)]
)
async def test_a_user_who_cannot_be_read_does_not_look_like_one_who_has_nothing(
    failure: ReadFailed, expected: type[LicensingError]
) -> None:
    run = Run()
    people = [run.directory.add_user(user(number)) for number in (1, 2)]
    run.directory.fail_read(people[1], failure)
    with pytest.raises(expected):
        await users_read(run.world, people)
    assert [each.id for each in await users_read(run.world, people)] == people


async def test_a_user_who_is_gone_is_left_out() -> None:
    run = Run()
    person = run.directory.add_user(user(1))
    assert [each.id for each in await users_read(run.world, [person, user(9)])] == [person]
