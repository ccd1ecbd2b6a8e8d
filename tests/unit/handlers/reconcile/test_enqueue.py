"""Users sent to be reconciled: lanes, sizes and partitions of their messages, and what each message carries."""

from __future__ import annotations

import pytest

from shared.domain.ids import GroupId, UserId
from shared.domain.messages import MAX_USERS, MEMBERS, MEMBERS_BULK, SMALL, ProcessUsers, decode_process_users
from shared.handlers.reconcile.enqueue import enqueue
from tests.support.runs import user
from tests.support.worlds import Fakes, fake_world

TEAM, OTHER = (GroupId(user(number)) for number in (901, 902))


@pytest.fixture
def fakes() -> Fakes:
    return fake_world()


def spread(count: int) -> list[UserId]:
    """Users of all sixteen partitions, in no order."""
    return [UserId(f"{number % 16:x}{user(number)[1:]}") for number in reversed(range(count))]


def sent(fakes: Fakes) -> list[ProcessUsers]:
    messages = [decode_process_users(message.body) for message in fakes.sent()]
    assert [message.queue for message in fakes.sent()] == [message.queue for message in messages]
    return messages


def users_of(messages: list[ProcessUsers]) -> list[UserId]:
    return [user_id for message in messages for user_id in message.user_ids]


async def test_a_few_users_share_full_messages_in_the_interactive_lane(fakes: Fakes) -> None:
    users = spread(SMALL)
    await enqueue(fakes.world, users, "due:now")
    messages = sent(fakes)
    assert {message.queue for message in messages} == {MEMBERS}
    assert [len(message.user_ids) for message in messages] == [MAX_USERS] * (SMALL // MAX_USERS)
    assert users_of(messages) == sorted(users)
    assert {message.cause for message in messages} == {"due:now"}


async def test_many_users_go_with_the_bulk_and_no_message_crosses_a_partition(fakes: Fakes) -> None:
    users = spread(16 * (MAX_USERS + 1))
    await enqueue(fakes.world, users, "sync")
    messages = sent(fakes)
    assert {message.queue for message in messages} == {MEMBERS_BULK}
    assert [len(message.user_ids) for message in messages] == [MAX_USERS, 1] * 16
    assert all(len({user_id[0] for user_id in message.user_ids}) == 1 for message in messages)
    assert users_of(messages) == sorted(users)


async def test_a_user_named_twice_is_sent_once_and_nobody_sends_nothing(fakes: Fakes) -> None:
    await enqueue(fakes.world, [], "nobody")
    assert sent(fakes) == []
    await enqueue(fakes.world, [user(1), user(2), user(1)], "twice")
    assert users_of(sent(fakes)) == [user(1), user(2)]


async def test_each_message_carries_what_is_expected_of_its_own_users(fakes: Fakes) -> None:
    users, at = spread(MAX_USERS + 2), fakes.world.clock.now()
    expects: dict[UserId, dict[GroupId, bool]] = {each: {TEAM: True, OTHER: False} for each in users}
    expects[sorted(users)[0]] = {}
    await enqueue(
        fakes.world, users, "group", expects=expects, changed_at=at, intent_versions={TEAM: 3}, traceparent="00-1-2-01"
    )
    first, second = sent(fakes)
    assert first.expects.keys() == set(first.user_ids[1:])
    assert second.expects.keys() == set(second.user_ids)
    assert all(said == {TEAM: True, OTHER: False} for said in (*first.expects.values(), *second.expects.values()))
    for message in (first, second):
        assert (message.changed_at, message.intent_versions, message.traceparent) == (at, {TEAM: 3}, "00-1-2-01")


async def test_without_an_event_nothing_is_expected(fakes: Fakes) -> None:
    await enqueue(fakes.world, [user(1)], "decision")
    (message,) = sent(fakes)
    assert not message.expects
    assert message.changed_at is None
