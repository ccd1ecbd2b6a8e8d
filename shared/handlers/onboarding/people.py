"""Reads that decide about an event: its person's account and other events, what the directory says of the person, and
what is known of the person's licenses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.domain import ledger
from shared.domain import onboarding_ends as ends
from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.desired_licenses import group_grants
from shared.domain.directory import DirectoryUser, NotAUser, ReadFailed, UserGone, UserRead
from shared.domain.ids import GroupId, UserId
from shared.domain.onboarding import Account, HrEventType, Next, OnboardingRecord, waiting
from shared.domain.onboarding_ends import ended
from shared.domain.onboarding_licenses import View, later, progress
from shared.domain.onboarding_order import (
    READ_RETRY,
    SAME_MESSAGE_RETRY,
    TurnTaken,
    Waits,
    after_earlier,
    await_account,
    resolve,
    turn_of,
)
from shared.domain.plan import plan_user
from shared.handlers.onboarding.needs import Needs
from shared.handlers.reconcile.plan import context_for, tenant_facts


@dataclass(frozen=True, slots=True)
class Person:
    """A record whose turn it is, its account, and what the directory shows of the person now."""

    record: OnboardingRecord
    account: Account
    user: DirectoryUser


def waits_of(world: Needs) -> Waits:
    policy = world.policy
    seconds = (policy.onboarding_lead_s, policy.account_wait_s, policy.leaver_removal_after_s)
    return Waits(*(timedelta(seconds=each) for each in seconds))


def unread(world: Needs, record: OnboardingRecord, failed: ReadFailed) -> Next:
    """Soon again if Graph is away; if it refuses, as for an account that does not exist."""
    now = world.clock.now()
    if failed.refused:
        return await_account(record, f"The account could not be read ({failed.why})", waits_of(world), now)
    wait = timedelta(seconds=failed.retry_after_s) if failed.retry_after_s else READ_RETRY
    return Next(waiting(record, record.state, now, now + wait, f"The account could not be read: {failed.why}"))


async def others_of(
    world: Needs, record: OnboardingRecord, accounts: Sequence[Account]
) -> tuple[OnboardingRecord, ...]:
    """Events of the person, by the names of the event and those of the accounts."""
    names = {name for ref in (record.event.person, *(each.ref for each in accounts)) for name in ref.identities}
    return await world.stores.onboarding.of_person(sorted(names))


async def match(
    world: Needs, record: OnboardingRecord, accounts: Sequence[Account] | ReadFailed
) -> tuple[list[Next], Account | None]:
    """The account of an event whose turn it is, with the older events that it ends; otherwise None, and how it waits or
    ends."""
    if isinstance(accounts, ReadFailed):
        return [unread(world, record, accounts)], None
    now, turn = world.clock.now(), await _turn(world, record, accounts)
    steps = [Next(ended(other, ends.superseded(record.key), now)) for other in turn.ends]
    found = resolve(record, accounts, turn, waits_of(world), now)
    return ([*steps, found], None) if isinstance(found, Next) else (steps, found)


async def _turn(world: Needs, record: OnboardingRecord, accounts: Sequence[Account]) -> TurnTaken:
    """Order among the events of the same person. Events resolved to another account are another person's."""
    ids = {each.id for each in accounts}
    found = await others_of(world, record, accounts)
    others = [each for each in found if each.user_id is None or not ids or each.user_id in ids]
    states = await world.stores.standings.of_users(sorted(ids)) if len(ids) == 1 else {}
    return turn_of(record, others, next(iter(states.values()), None), world.clock.now())


async def releases_of(world: Needs, leaver: OnboardingRecord) -> list[str]:
    """Releases that came before their leaver."""
    found = await world.stores.onboarding.of_person(leaver.event.person.identities)
    return [each.key for each in found if each.event.type is HrEventType.RELEASE and not each.state.is_ended]


async def leavers_of(world: Needs, release: OnboardingRecord) -> tuple[OnboardingRecord, ...]:
    """Events of a release's person, by the names of the event and those of the account."""
    accounts = (await world.accounts.find([release.event.person]))[release.event.person]
    known = accounts if not isinstance(accounts, ReadFailed) and len(accounts) == 1 else ()
    return await others_of(world, release, known)


async def read(world: Needs, matched: Sequence[tuple[OnboardingRecord, Account]]) -> tuple[list[Person], list[Next]]:
    """The people with groups and licenses; one who cannot be read, or is not replicated, comes later. Of several events
    of one person the first in order goes on, the others after it."""
    now = world.clock.now()
    first: dict[UserId, tuple[OnboardingRecord, Account]] = {}
    people: list[Person] = []
    steps = []
    for record, account in sorted(matched, key=lambda each: each[0].order):
        earlier, _ = first.setdefault(account.id, (record, account))
        if earlier is not record:
            steps.append(after_earlier(record, earlier.key, now, now + SAME_MESSAGE_RETRY))
    reads = await world.directory.users(list(first)) if first else {}
    for user_id, (record, account) in first.items():
        answer = reads[user_id]
        if isinstance(answer, DirectoryUser):
            people.append(Person(record, account, answer))
        elif isinstance(answer, NotAUser):
            steps.append(Next(ended(record, ends.not_a_user(answer.kind), now)))
        elif isinstance(answer, ReadFailed):
            steps.append(unread(world, record, answer))
        else:
            steps.append(await_account(record, "The account is not replicated yet", waits_of(world), now))
    return people, steps


async def assess(
    world: Needs,
    records: Sequence[OnboardingRecord],
    assignments: Mapping[GroupId, GroupLicenseAssignment],
    backlog: timedelta,
) -> list[Next]:
    """How far the licenses of the records' people are. `backlog`: of the write quota."""
    user_ids = list(dict.fromkeys(record.user_id for record in records if record.user_id is not None))
    if not user_ids:
        return []
    reads = await world.directory.users(user_ids)
    rows = await world.stores.ledger.rows(user_ids)
    grants = await world.stores.grants.of_users(user_ids)
    facts = await tenant_facts(world)

    def judged(record: OnboardingRecord, user: UserRead) -> Next:
        if isinstance(user, DirectoryUser):
            context = context_for(user, assignments, facts, world, location=rows[user.id].usage_location)
            row = ledger.refresh(rows[user.id], user, context.now)
            everything = (*group_grants(user, assignments), *grants.get(user.id, ()))
            view = View(user, row, everything, plan_user(user, everything, row, context), context.now)
            return progress(record, view, backlog)
        now = world.clock.now()
        if isinstance(user, UserGone) and record.event.type is HrEventType.LEAVER:
            return Next(ended(record, ends.ACCOUNT_GONE, now))
        return later(record, now, backlog, "The account could not be read.")

    return [judged(record, reads[record.user_id]) for record in records if record.user_id is not None]
