"""Profiles: which groups and products a job brings, as an administrator keeps them."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.errors import BadRequest, NotFound, Outdated
from shared.domain.initiator import Initiator
from shared.domain.profile_changes import profile_text
from shared.domain.profiles import Profile
from shared.domain.read_models import AuditEntry
from shared.handlers.onboarding.hr_scope import writable
from shared.handlers.onboarding.membership_writes import GroupsKnown
from shared.handlers.onboarding.needs import Needs


async def profile_of(world: Needs, name: str) -> Profile:
    """Raises NotFound."""
    found = next((each for each in await world.stores.profiles.all() if each.name == name), None)
    if found is None:
        raise NotFound(f"There is no profile {name}.")
    return found


async def save_profile(world: Needs, profile: Profile, initiator: Initiator, if_match: str | None) -> Profile:
    """Create or replace a profile. `if_match`: the version it must have, `*` for any, None where there must be none or
    whatever is there is replaced.

    Raises BadRequest for a group or product that does not exist, Outdated or Conflict when it was changed meanwhile.
    """
    known = next((each for each in await world.stores.profiles.all() if each.name == profile.name), None)
    await _check(world, profile, known)
    if if_match is not None and (known is None or (if_match != "*" and if_match != known.version)):
        raise Outdated(f"The profile {profile.name} was changed meanwhile; read it again.")
    saved = await world.stores.profiles.save(replace(profile, version=known.version if known else None))
    await _note(world, "Update onboarding profile" if known else "Add onboarding profile", known, saved, initiator)
    return saved


async def remove_profile(world: Needs, name: str, initiator: Initiator) -> None:
    """People keep what the profile gave them until they move or leave. Raises NotFound."""
    known = await profile_of(world, name)
    await world.stores.profiles.remove(name)
    await _note(world, "Delete onboarding profile", known, None, initiator)


async def _check(world: Needs, profile: Profile, before: Profile | None) -> None:
    """Only what the request changes is checked: a product or plan that was lost since is no fault of it."""
    allowed = await writable(world)
    for group_id in profile.groups:
        text, _ = allowed.why_not(group_id)
        if text:
            remedy = "Name another group, or have an administrator of this app add it to the setting."
            raise BadRequest("GroupNotAllowed", f"Profile {profile.name}: {text} {remedy}", "groups")
    groups = GroupsKnown(world)
    for group_id in set(profile.groups).difference(before.groups if before else ()):
        if await groups.get(group_id) is None:
            raise BadRequest("GroupNotFound", f"There is no group {group_id}.", "groups")
    skus = {sku.sku_id: sku for sku in await world.directory.subscribed_skus()}
    for license in set(profile.licenses).difference(before.licenses if before else ()):
        sku = skus.get(license.sku_id)
        if sku is None:
            raise BadRequest("SkuNotFound", f"The tenant has no product {license.sku_id}.", "licenses.skuId")
        unknown = sorted(license.disabled_plans - sku.plan_ids)
        if unknown:
            text = f"Product {sku.sku_part_number} has no service plan {unknown[0]}."
            raise BadRequest("ServicePlanNotFound", text, "licenses.disabledPlans")


async def _note(
    world: Needs, activity: str, before: Profile | None, after: Profile | None, initiator: Initiator
) -> None:
    """Each version of a profile is in the audit log, before and after the change."""
    named = after or before
    entry = AuditEntry(
        world.token(),
        world.clock.now(),
        activity,
        initiator,
        "success",
        before=profile_text(before),
        after=profile_text(after),
        detail=named.name if named else "",
    )
    await world.stores.audit.append([entry])
