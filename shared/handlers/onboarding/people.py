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
from shared.domain.hr_identity import identify, is_about, may_be_same
from shared.domain.hr_statements import judge
from shared.domain.ids import GroupId, UserId
from shared.domain.leaver_events import answer, with_revived
from shared.domain.onboarding import Account, HrEventType, Next, OnboardingRecord, waiting
from shared.domain.onboarding_ends import ended
from shared.domain.onboarding_licenses import GIVEN_UP_AFTER, View, later, progress
from shared.domain.onboarding_order import (
    READ_RETRY,
    SAME_MESSAGE_RETRY,
    Waits,
    after_earlier,
    await_account,
    resolve,
)
from shared.domain.plan import plan_user
from shared.handlers.onboarding import records
from shared.handlers.onboarding.needs import Needs
from shared.handlers.reconcile.plan import context_for, tenant_facts

UNREAD_FOR = timedelta(hours=24)
"""How long a person whose licenses are being written is read in vain, when Graph does not answer."""


@dataclass(frozen=True, slots=True)
class Match:
    """A record that is carried out now, its account, and the employment that it is about."""

    record: OnboardingRecord
    account: Account
    employment: str


@dataclass(frozen=True, slots=True)
class Person:
    """A match, and what the directory shows of the person now."""

    record: OnboardingRecord
    account: Account
    employment: str
    user: DirectoryUser


def waits_of(world: Needs) -> Waits:
    policy = world.policy
    waits = (
        policy.onboarding_lead_s,
        policy.account_wait_s,
        policy.leaver_removal_after_s,
        policy.leaver_minimum_delay_s,
    )
    return Waits(*(timedelta(seconds=each) for each in waits))


def unread(world: Needs, record: OnboardingRecord, failed: ReadFailed) -> Next:
    """Soon again if Graph is away; if it rejects, as for an account that does not exist."""
    now = world.clock.now()
    if failed.rejected:
        return await_account(record, f"The account could not be read ({failed.why})", waits_of(world), now)
    wait = timedelta(seconds=failed.retry_after_s) if failed.retry_after_s else READ_RETRY
    return Next(waiting(record, record.state, now, now + wait, f"The account could not be read: {failed.why}"))


async def others_of(world: Needs, record: OnboardingRecord, account: Account | None) -> tuple[OnboardingRecord, ...]:
    """Other events of the person, by the names of the event and those of the account. Events of another person with the
    same name, now or earlier, are left out."""
    refs = (record.event.person, *((account.ref,) if account else ()))
    names = {name for ref in refs for name in ref.identities}
    found = await world.stores.onboarding.of_person(sorted(names))
    others = (each for each in found if each.key != record.key)
    if account is None:
        return tuple(each for each in others if may_be_same(each.event.person, record.event.person))
    return tuple(each for each in others if is_about(each, account))


async def match(
    world: Needs, record: OnboardingRecord, accounts: Sequence[Account] | ReadFailed
) -> tuple[list[Next], Match | None]:
    """The account of an event that is carried out now, with what that ends; otherwise None, and how the event waits or
    ends."""
    if isinstance(accounts, ReadFailed):
        return [unread(world, record, accounts)], None
    now, found, waits = world.clock.now(), identify(record, accounts), waits_of(world)
    others = await others_of(world, record, found.account)
    state = (await world.stores.hr_states.of_users([found.account.id]))[found.account.id] if found.account else None
    if record.event.type.names_a_leaver:
        return with_revived(answer(record, found, others, state, waits, now), (record, *others), now), None
    judgement = judge(record, others, state, now)
    releases = [each for each in others if each.event.type is HrEventType.RELEASE and not each.state.is_ended]
    resolved = resolve(record, found, judgement, waits, now, tuple(each.key for each in releases))
    if resolved.known is not None and record.user_id is None:
        await records.know(world, record, resolved.known)
    steps = with_revived(resolved.steps, (record, *others), now)
    if resolved.account is None or resolved.record is None:
        return steps, None
    return steps, Match(resolved.record, resolved.account, judgement.employment)


async def read(world: Needs, matched: Sequence[Match]) -> tuple[list[Person], list[Next]]:
    """The people with groups and licenses; one who cannot be read, or is not replicated, comes later. Of several events
    of one person the first that came goes on, the others after it."""
    now = world.clock.now()
    first: dict[UserId, Match] = {}
    people: list[Person] = []
    steps = []
    for each in sorted(matched, key=lambda each: (each.record.event.effective_at, each.record.received_at)):
        earlier = first.setdefault(each.account.id, each)
        if earlier is not each:
            steps.append(after_earlier(each.record, earlier.record.key, now, now + SAME_MESSAGE_RETRY))
    reads = await world.directory.users(list(first)) if first else {}
    for user_id, each in first.items():
        record, found = each.record, reads[user_id]
        if isinstance(found, DirectoryUser):
            people.append(Person(record, each.account, each.employment, found))
        elif isinstance(found, NotAUser):
            steps.append(Next(ended(record, ends.not_a_user(found.kind), now)))
        elif isinstance(found, ReadFailed):
            steps.append(unread(world, record, found))
        else:
            steps.append(await_account(record, "The account is not replicated yet", waits_of(world), now))
    return people, steps


async def assess(
    world: Needs,
    working: Sequence[OnboardingRecord],
    assignments: Mapping[GroupId, GroupLicenseAssignment],
    backlog: timedelta,
) -> list[Next]:
    """How far the licenses of the people are whose events are worked on. `backlog`: of the write quota."""
    user_ids = list(dict.fromkeys(record.user_id for record in working if record.user_id is not None))
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
        since, rejected = now - (record.working_since or now), not isinstance(user, ReadFailed) or user.rejected
        if since >= (GIVEN_UP_AFTER if rejected else UNREAD_FOR):
            return Next(ended(record, ends.ACCOUNT_LOST, now))
        return later(record, now, backlog, "The account could not be read.")

    return [judged(record, reads[record.user_id]) for record in working if record.user_id is not None]
