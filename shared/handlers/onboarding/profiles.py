"""Profiles: which groups and products a job brings, as an administrator keeps them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.approval_rules import alone_from, approver
from shared.domain.errors import ApprovalDenied, BadRequest, Conflict, NotFound, Outdated, raise_all
from shared.domain.initiator import SYSTEM, Initiator
from shared.domain.profile_changes import Proposal, profile_text, reasons_to_approve
from shared.domain.profiles import Profile
from shared.handlers.notes import note
from shared.handlers.onboarding.hr_scope import writable
from shared.handlers.onboarding.membership_writes import GroupsKnown
from shared.handlers.onboarding.needs import Needs
from shared.handlers.operations.state_changes import approved_as


async def profile_of(world: Needs, name: str) -> Profile:
    """Raises NotFound."""
    found = next((each for each in await world.stores.profiles.all() if each.name == name), None)
    if found is None:
        raise NotFound(f"There is no profile {name}.")
    return found


async def save_profile(
    world: Needs, profile: Profile, initiator: Initiator, if_match: str | None
) -> Profile | Proposal:
    """Create or replace a profile, or propose that if another person must approve it; the version before stays in force
    then. `if_match`: the version it must have, `*` for any, None where there must be none or whatever is there is
    replaced.

    Raises BadRequest for a group or product that does not exist, Outdated or Conflict when it was changed meanwhile.
    """
    known = next((each for each in await world.stores.profiles.all() if each.name == profile.name), None)
    await _check(world, profile, known)
    _check_version(profile.name, known, if_match)
    base = known.version if known else None
    if reasons_to_approve(known, profile):
        proposed = await world.stores.profiles.propose(Proposal(profile, initiator, world.clock.now(), base))
        await _note(world, "Propose onboarding profile", known, profile, initiator)
        return proposed
    saved = await world.stores.profiles.save(replace(profile, version=base))
    await _note(world, "Update onboarding profile" if known else "Add onboarding profile", known, saved, initiator)
    return saved


@dataclass(frozen=True, slots=True)
class Waiting:
    """A proposal, the profile that it would replace, and when it is dropped without an approval."""

    proposal: Proposal
    before: Profile | None
    expires_at: datetime


async def proposals(world: Needs) -> tuple[Waiting, ...]:
    """Those that have not expired, by the name of the profile."""
    known = {each.name: each for each in await world.stores.profiles.all()}
    stored = sorted(await world.stores.profiles.proposals(), key=lambda each: each.profile.name)
    return tuple(
        Waiting(each, known.get(each.profile.name), _expires_at(world, each))
        for each in stored
        if world.clock.now() < _expires_at(world, each)
    )


async def drop_expired(world: Needs) -> int:
    """Drop proposals without an approval in time; returns how many."""
    dropped = 0
    for each in await world.stores.profiles.proposals():
        if world.clock.now() >= _expires_at(world, each):
            # A newer one that has just taken its place stays.
            with suppress(Conflict, NotFound):
                await world.stores.profiles.withdraw(each)
                await _note(world, "Drop onboarding profile proposal", None, each.profile, SYSTEM)
                dropped += 1
    return dropped


def _expires_at(world: Needs, proposal: Proposal) -> datetime:
    return proposal.at + timedelta(seconds=world.policy.approval_expires_s)


async def approve_profile(world: Needs, name: str, version: str, initiator: Initiator) -> Profile | None:
    """Put a proposal into force; None if that deletes the profile. `version`: of the proposal that the person has seen.

    Raises NotFound. Raises Outdated for another version, or if the profile changed since the proposal. Raises
    ApprovalDenied for the person who proposed it, and BadRequest if it names a group that HR can no longer write to.
    """
    waiting = await _seen(world, name, version)
    proposal, now, rules = waiting.proposal, world.clock.now(), world.policy.approval_rules
    proposed_by = proposal.by.person_id
    found = approver(initiator.id, proposed_by, proposal.at, now, single_approver=rules.single_approver)
    if not found.may_approve:
        text = "You proposed this profile: another person with the role Licensing.Approve must approve it."
        raise ApprovalDenied(text + alone_from(found, proposal.at))
    if proposal.base != (waiting.before.version if waiting.before else None):
        raise Outdated(f"The profile {name} was changed after this version was proposed; propose it again.")
    saved = None
    if proposal.deletes:
        await world.stores.profiles.remove(waiting.before or proposal.profile)
    else:
        await _check(world, proposal.profile, waiting.before)
        saved = await world.stores.profiles.save(replace(proposal.profile, version=proposal.base))
    with suppress(Conflict, NotFound):  # a newer one waits for a decision of its own
        await world.stores.profiles.withdraw(proposal)
    activity = "Approve deletion of onboarding profile" if proposal.deletes else "Approve onboarding profile"
    await _note(world, approved_as(found, activity, f"key=profile-{name}", initiator), waiting.before, saved, initiator)
    return saved


async def reject_profile(world: Needs, name: str, version: str, initiator: Initiator) -> None:
    """Forget a proposal; the version in force stays. Raises NotFound, and Outdated for another version."""
    waiting = await _seen(world, name, version)
    await world.stores.profiles.withdraw(waiting.proposal)
    await _note(world, "Reject onboarding profile", waiting.before, waiting.proposal.after, initiator)


async def _seen(world: Needs, name: str, version: str) -> Waiting:
    found = next((each for each in await proposals(world) if each.proposal.profile.name == name), None)
    if found is None:
        raise NotFound(f"No version of the profile {name} waits for approval.")
    if found.proposal.version != version:
        raise Outdated(f"Another version of the profile {name} was proposed meanwhile; read it again.")
    return found


async def remove_profile(world: Needs, name: str, initiator: Initiator, if_match: str | None = None) -> Proposal | None:
    """Delete a profile that gives nothing, or propose that another one is deleted. People keep what it gave them until
    they move or leave. `if_match`: as in `save_profile`. Raises NotFound, and Outdated or Conflict when it was changed
    meanwhile."""
    waiting = [each for each in await world.stores.profiles.proposals() if each.profile.name == name]
    known = await profile_of(world, name)
    _check_version(name, known, if_match)
    if reasons_to_approve(known, None):
        proposal = Proposal(known, initiator, world.clock.now(), known.version, deletes=True)
        proposed = await world.stores.profiles.propose(proposal)
        await _note(world, "Propose to delete onboarding profile", known, None, initiator)
        return proposed
    await world.stores.profiles.remove(known)
    for each in waiting:
        with suppress(Conflict, NotFound):
            await world.stores.profiles.withdraw(each)
    await _note(world, "Delete onboarding profile", known, None, initiator)
    return None


def _check_version(name: str, known: Profile | None, if_match: str | None) -> None:
    """Raises Outdated if the caller saw another version; None matches any, also none."""
    if if_match is not None and (known is None or (if_match != "*" and if_match != known.version)):
        raise Outdated(f"The profile {name} was changed meanwhile; read it again.")


async def _check(world: Needs, profile: Profile, before: Profile | None) -> None:
    """Only what the request changes is checked: a product or plan that was lost since is no fault of it."""
    allowed = await writable(world)
    faults: list[BadRequest] = []
    for group_id in profile.groups:
        text, _ = allowed.why_not(group_id)
        if text:
            remedy = "Name another group, or have an administrator of this app add it to the setting."
            faults.append(BadRequest("GroupNotAllowed", f"Profile {profile.name}: {text} {remedy}", "groups"))
    groups = GroupsKnown(world)
    for group_id in set(profile.groups).difference(before.groups if before else ()):
        if await groups.get(group_id) is None:
            faults.append(BadRequest("GroupNotFound", f"There is no group {group_id}.", "groups"))
    skus = {sku.sku_id: sku for sku in await world.directory.subscribed_skus()}
    for license in set(profile.licenses).difference(before.licenses if before else ()):
        sku = skus.get(license.sku_id)
        if sku is None:
            text = f"The tenant has no product {license.sku_id}."
            faults.append(BadRequest("SkuNotFound", text, "licenses.skuId"))
            continue
        for plan_id in sorted(license.disabled_plans - sku.plan_ids):
            text = f"Product {sku.sku_part_number} has no service plan {plan_id}."
            faults.append(BadRequest("ServicePlanNotFound", text, "licenses.disabledPlans"))
    raise_all(faults)


async def _note(
    world: Needs, activity: str, before: Profile | None, after: Profile | None, initiator: Initiator
) -> None:
    """Each version of a profile is in the audit log, before and after the change."""
    named = after or before
    name = named.name if named else ""
    await note(world, activity, initiator, before=profile_text(before), after=profile_text(after), detail=name)
