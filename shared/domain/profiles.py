"""Profiles: what a job needs, as data that an administrator keeps: attributes of a person -> groups and licenses.

Every profile that matches counts, and what they give is united; one marked `exclusive` counts alone among those below
its priority.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shared.domain.assignment import AssignmentState, GroupLicenseAssignment
from shared.domain.directory import AssignedLicense
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import NO_PLANS, GroupId, Plans, SkuId
from shared.domain.texts import normal_form

ANY = "*"


@dataclass(frozen=True, slots=True)
class Profile:
    """`match`: attribute -> allowed values, all attributes must fit; compared in normal form, `*` at the end stands for
    any rest. `selectable`: an event can name the profile, or groups of it; a profile without conditions counts only so.
    `version` is the row's ETag."""

    name: str
    display_name: str = ""
    match: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: tuple[GroupId, ...] = ()
    licenses: tuple[AssignedLicense, ...] = ()
    usage_location: str = ""
    priority: int = 0
    exclusive: bool = False
    selectable: bool = False
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A profile that counts for a person, and why."""

    profile: Profile
    because: str


@dataclass(frozen=True, slots=True)
class Entitlement:
    """The groups and options that HR requests for a person.

    Of profiles that an event names, `unknown`: those that do not exist; `not_selectable`: those that it must not name,
    since they do not match. `nameable`: groups that the event can name.
    """

    matches: tuple[Match, ...] = ()
    groups: tuple[GroupId, ...] = ()
    grants: tuple[Grant, ...] = ()
    usage_location: str = ""
    unknown: tuple[str, ...] = ()
    not_selectable: tuple[str, ...] = ()
    nameable: frozenset[GroupId] = frozenset()

    @property
    def profiles(self) -> tuple[str, ...]:
        return tuple(match.profile.name for match in self.matches)


def entitlement(
    profiles: Iterable[Profile],
    attributes: Mapping[str, str],
    named: Iterable[str] = (),
    groups: Iterable[GroupId] = (),
    usage_location: str = "",
) -> Entitlement:
    """The merged result of all profiles that match or are named, with the groups that an event names directly.

    The right to send events is not the right to choose. A profile that is not selectable counts only if it matches. A
    group counts only if a profile that matches or is selectable has it. The location is the event's, else that of the
    matching profile with the highest priority that has one.
    """
    known = {profile.name: profile for profile in profiles}
    wanted = tuple(dict.fromkeys(named))
    matches = []
    for profile in known.values():
        because = why_it_matches(profile, attributes)
        if profile.name in wanted and profile.selectable:
            because = "named by the event"
        if because:
            matches.append(Match(profile, because))
    counting = {match.profile.name for match in matches}
    selectable = [profile for profile in known.values() if profile.selectable]
    matches.sort(key=lambda match: (-match.profile.priority, match.profile.name))
    alone = next((match for match in matches if match.profile.exclusive), None)
    if alone is not None:
        matches = [match for match in matches if match is alone or match.profile.priority > alone.profile.priority]
    return Entitlement(
        tuple(matches),
        tuple(dict.fromkeys((*(group for match in matches for group in match.profile.groups), *groups))),
        tuple(grant for match in matches for grant in grants_of(match.profile)),
        usage_location or next((m.profile.usage_location for m in matches if m.profile.usage_location), ""),
        tuple(name for name in wanted if name not in known),
        tuple(name for name in wanted if name in known and name not in counting),
        frozenset(group for profile in (*selectable, *(m.profile for m in matches)) for group in profile.groups),
    )


def why_it_matches(profile: Profile, attributes: Mapping[str, str]) -> str:
    """The conditions that fit, in words; empty where the profile does not match."""
    if not profile.match:
        return ""
    reasons = []
    for name, allowed in sorted(profile.match.items()):
        value = attributes.get(name, "")
        fitting = next((pattern for pattern in allowed if value and _fits(pattern, value)), None)
        if fitting is None:
            return ""
        reasons.append(f"{name} {value!r} fits {fitting!r}")
    return ", ".join(reasons)


def _fits(pattern: str, value: str) -> bool:
    if not pattern.endswith(ANY):
        return normal_form(value) == normal_form(pattern)
    begins = pattern[:-1]
    blank = " " if begins.strip() and begins[-1].isspace() else ""
    return normal_form(value).startswith(normal_form(begins) + blank)


def grants_of(profile: Profile) -> tuple[Grant, ...]:
    """Direct license grants of a profile; the profile is their source, so that another's removal never takes them."""
    source = Source(SourceKind.HR, profile.name)
    once: dict[SkuId, Plans] = {}
    for license in profile.licenses:
        once[license.sku_id] = once.get(license.sku_id, license.disabled_plans) & license.disabled_plans
    return tuple(Grant(sku_id, plans or NO_PLANS, source) for sku_id, plans in once.items())


def groups_of_jobs(
    assignments: Mapping[GroupId, GroupLicenseAssignment], profiles: Iterable[Profile]
) -> frozenset[GroupId]:
    """Groups that a leaver leaves, also if another source added the person: managed ones and those of profiles."""
    managed = {g for g, each in assignments.items() if each.state is AssignmentState.ACTIVE and each.skus}
    return frozenset(managed | {group_id for profile in profiles for group_id in profile.groups})
