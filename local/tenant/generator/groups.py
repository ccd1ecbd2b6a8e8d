"""The groups of a generated tenant: one nested three deep, and others beside, across and in its way."""

from __future__ import annotations

import random
from itertools import pairwise

from local.tenant.directory.directory import Directory
from local.tenant.directory.model import (
    AssignedLicense,
    Device,
    DirectoryObject,
    Group,
    LicenseRow,
    ServicePrincipal,
    User,
)
from local.tenant.generator.names import new_id

_CREATED = 1_735_689_600.0  # 2025-01-01T00:00:00Z, as all generated objects


def build_groups(
    directory: Directory,
    members: list[User],
    outsiders: list[User],
    recycled: list[User],
    kinds: dict[str, list[User]],
    chance: random.Random,
    others: int,
) -> dict[str, str]:
    """Create all groups with their members; answers id by name.

    The transitive user members of `main`, recycled ones aside, are exactly `members`.
    """
    maker = _Maker(directory, chance)
    _main(maker, members, recycled)
    everyone = [*members, *outsiders]
    maker.group("overlap", chance.sample(members, max(1, len(members) // 10)) + outsiders[: len(outsiders) // 2])
    maker.group("excluded", chance.sample(members, max(1, len(members) // 50)))
    maker.group("hidden", chance.sample(members, min(5, len(members)))).visibility = "HiddenMembership"
    maker.group("mail", chance.sample(members, min(5, len(members)))).security_enabled = False
    team = maker.group("team", chance.sample(everyone, min(20, len(everyone))))
    team.group_types = ("Unified",)
    dynamic = maker.group("dynamic", chance.sample(everyone, min(20, len(everyone))))
    dynamic.group_types, dynamic.rule = ("DynamicMembership",), 'user.country -eq "DE"'
    maker.group("role", chance.sample(members, min(3, len(members)))).role_assignable = True
    maker.group("empty", [])
    _native(maker, kinds["native_inherited"])
    for number in range(others):
        size = chance.randint(1, max(2, min(200, len(members) // 20)))
        maker.group(f"other-{number + 1:03}", chance.sample(everyone, min(size, len(everyone))))
    return maker.ids


class _Maker:
    """Creates groups and remembers their ids by name."""

    def __init__(self, directory: Directory, chance: random.Random) -> None:
        self.directory = directory
        self.chance = chance
        self.ids: dict[str, str] = {}

    def group(self, name: str, members: list[User]) -> Group:
        """A security group with these members."""
        made = Group(new_id(self.chance), name, _CREATED)
        self.directory.add(made)
        self.directory.load_members(made, members)
        self.ids[name] = made.id
        return made

    def join(self, group: Group, thing: DirectoryObject) -> None:
        """Add one more member of any kind, new or known."""
        if thing.id not in self.directory.objects:
            self.directory.add(thing)
        self.directory.add_member(group, thing)


def _main(maker: _Maker, members: list[User], recycled: list[User]) -> None:
    """main > main-a > main-b > main-c, four, three, two and one tenth of the members; one in twenty in two levels."""
    cuts = [0, *(round(len(members) * share) for share in (0.4, 0.7, 0.9)), len(members)]
    parts = [members[start:end] for start, end in pairwise(cuts)]
    twice = maker.chance.sample(parts[0], len(parts[0]) // 20)
    levels = [
        maker.group("main", [*parts[0], *recycled]),
        maker.group("main-a", [*parts[1], *twice]),
        maker.group("main-b", parts[2]),
        maker.group("main-c", parts[3]),
    ]
    for outer, inner in pairwise(levels):
        maker.join(outer, inner)
    for number, level in enumerate(levels[:3]):
        maker.join(level, Device(new_id(maker.chance), f"device-{number + 1}"))
    maker.join(levels[0], ServicePrincipal(new_id(maker.chance), "backup-agent"))


def _native(maker: _Maker, users: list[User]) -> None:
    """A group with SPE_E3 by Microsoft's own group-based licensing, already processed."""
    group = maker.group("native", users)
    suite = maker.directory.catalog.by_part_number("SPE_E3").sku_id
    group.licenses = (AssignedLicense(suite, ()),)
    group.processing_state = "ProcessingComplete"
    for user in users:
        user.rows = (*user.rows, LicenseRow(suite, (), group.id, "Active", "None", _CREATED))
