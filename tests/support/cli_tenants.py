"""A random tenant, its files, and the judgement whether a plan was what happened."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from shared.domain.directory import AssignedLicense
from shared.domain.ids import GroupId, SkuId, UserId
from tests.support.api_calls import another, claims_of, token
from tests.support.cli import ADMINISTRATOR, Cli
from tests.support.runs import EXTRA, LARGE, OTHER_TEAM, SMALL, TEAM, Run, product, user

FOURTH = product(4, "FOURTH", (30, 31))
PRODUCTS = (SMALL, LARGE, EXTRA, FOURTH)
INNER = GroupId("0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e50")
THIRD = GroupId("0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e51")
MANY = 100_000
GROUPS = (TEAM, OTHER_TEAM, THIRD)
ROLES = ["Licensing.Write", "Licensing.Approve", "Licensing.Configure"]
OTHER_PERSON = token(another(claims_of(roles=ROLES)))
ALLOW = ("--allow", "removals", "--allow", "additions", "--allow", "protected", "--allow", "dependencies")

Licenses = dict[UserId, dict[SkuId, frozenset[str]]]


class Tenant:
    """People in groups, some of them in several or in a group inside; files that are made at random."""

    def __init__(self, chance: random.Random, folder: Path) -> None:
        self.chance = chance
        self.run = Run()
        # Without limits, since what they hold is not part of a plan; an approval still decides about many removals.
        policy = replace(
            self.run.world.policy,
            removal_allowance_minimum=MANY,
            removal_allowance_maximum=MANY,
            tenant_removal_allowance=MANY,
        )
        self.run.world = replace(self.run.world, policy=policy)
        self.run.workers = [type(each)(self.run.world) for each in self.run.workers]
        self.cli = Cli(lambda: self.run.world, self.run.work_off, ADMINISTRATOR, folder)
        self.cli.here.holds_to_description = False
        self.files = folder / "licenses"
        self.files.mkdir()
        self.plan_file = folder / "p.json"
        self.people: list[UserId] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.cli.here.close_loop()

    def begin(self) -> None:
        """People, groups, licenses that others assigned, and a first state that is applied from files."""
        directory, chance = self.run.directory, self.chance
        directory.add_sku(FOURTH)
        directory.add_group(THIRD)
        directory.add_group(INNER)
        directory.join(OTHER_TEAM, INNER)
        for number in range(1, chance.randint(20, 60) + 1):
            has = [AssignedLicense(EXTRA.sku_id)] if chance.random() < 0.1 else []
            options: dict[str, Any] = {"guest": chance.random() < 0.1, "enabled": chance.random() > 0.1}
            self.people.append(directory.add_user(user(number), has=has, **options))
            for group in (*GROUPS, INNER):
                if chance.random() < 0.45:
                    directory.join(group, self.people[-1])
        self.write()
        self.plan()
        self.apply()

    def write(self) -> None:
        """Files that say something new about each group, or leave one out. Profiles are made at random."""
        lines = ["apiVersion: licensing/v1"]
        self.prunes = self.chance.random() < 0.5
        if self.prunes:
            lines.append("prune: true")
        left_out = self.chance.choice((*GROUPS, None))
        self.profiles = {name: self._profile() for name in ("sales", "field") if self.chance.random() < 0.5}
        lines += ["profiles:"] * bool(self.profiles)
        lines += [f"  {name}: {json.dumps(profile)}" for name, profile in self.profiles.items()]
        lines.append("groups:")
        self.named = [group for group in GROUPS if group != left_out]
        for group in self.named:
            lines += [f"  - group: {self.run.directory.groups[group].display_name}", "    products:"]
            for sku in self.chance.sample(PRODUCTS, self.chance.randint(1, 3)):
                plans = [plan.service_plan_name for plan in sku.service_plans]
                off = self.chance.sample(plans, self.chance.randint(0, len(plans) - 1))
                lines.append(f"      - {sku.sku_part_number}: {{ off: [{', '.join(off)}] }}")
            for option in ("guests", "disabledAccounts"):
                if self.chance.random() < 0.3:
                    lines.append(f"    {option}: false")
            if self.chance.random() < 0.3:
                other = self.chance.choice([each for each in (*GROUPS, INNER) if each != group])
                lines.append(f"    exclude: [{other}]")
        (self.files / "licenses.yaml").write_text("\n".join(lines) + "\n")

    def _profile(self) -> dict[str, Any]:
        chance = self.chance
        product = chance.choice(PRODUCTS).sku_part_number
        return {
            "when": {"department": chance.sample(["Sales", "Field *", "Legal"], chance.randint(1, 3))},
            "groups": [str(group) for group in chance.sample((TEAM, OTHER_TEAM), chance.randint(0, 2))],
            "products": [product] if chance.random() < 0.5 else [],
            "priority": chance.randint(-3, 3),
            "exclusive": chance.random() < 0.3,
        }

    def plan(self) -> int:
        return self.expect((0, 2), "plan", str(self.files), "-out", str(self.plan_file), *ALLOW)

    def expect(self, codes: tuple[int, ...], *arguments: str) -> int:
        done = self.cli(*arguments)
        assert done.code in codes, done.out + done.err
        return done.code

    def apply(self) -> None:
        """Apply, and approve removals as another person."""
        if self.expect((0, 3), "apply", str(self.plan_file), "--yes") == 3:
            self.cli.here.headers = dict(OTHER_PERSON)
            for waiting in self.cli("approval", "list", "-o", "json").json:
                self.expect((0,), "approval", "approve", waiting["id"], "--checksum", waiting["checksum"], "--yes")
            for waiting in self.cli("profile", "proposals", "-o", "json").json:
                self.expect((0,), "profile", "approve", waiting["name"], "--version", waiting["version"], "--yes")
            self.cli.here.headers = dict(ADMINISTRATOR)

    def export_plans_to_nothing(self) -> None:
        (self.files / "licenses.yaml").write_text(self.cli("import", "direct").out)
        self.expect((0,), "validate", str(self.files))
        assert self.plan() == 0, self.cli("drift", str(self.files)).out
        self.expect((0,), "drift", str(self.files))

    def edit_plan_and_apply(self) -> None:
        """Other files, planned twice; then they are applied, or rejected because something changed in between."""
        self.write()
        self.plan()
        content = self.plan_file.read_bytes()
        self.plan()
        assert self.plan_file.read_bytes() == content
        planned = self.planned()
        changed = self.chance.random() < 0.4
        if changed:
            self.change_something()
        before = self.licenses()
        self.cli.here.asked.clear()
        if (
            changed
            and self.cli("apply", str(self.plan_file), "--yes", answer="n\n").code == 1
            and not self.cli.here.writes
        ):
            assert self.licenses() == before
            self.plan()
            planned = self.planned()
        self.apply()
        self.judge(before, planned)
        self.judge_groups_and_profiles()

    def judge_groups_and_profiles(self) -> None:
        """Pruned groups assign nothing, whoever leaves them keeps the licenses, and profiles are as in the files."""
        listed = {each["id"]: each for each in self.cli("group", "list", "-o", "json").json}
        for group in set(GROUPS) - set(self.named):
            if not self.prunes:
                continue
            assert not listed.get(group, {}).get("assignedSkuIds"), group
            self.leave_without_a_loss(group)
        saved = {each["name"]: each for each in self.cli("profile", "list", "-o", "json").json}
        for name, profile in self.profiles.items():
            found = saved[name]
            assert sorted(found["match"]["department"]) == sorted(profile["when"]["department"])
            assert (sorted(found["groups"]), found["priority"]) == (sorted(profile["groups"]), profile["priority"])

    def leave_without_a_loss(self, group: GroupId) -> None:
        """Members who are in no other group leave a pruned group. Nothing is removed from them, also much later."""
        members = dict(self.run.directory._members)
        inside = [each for each in members[group] if each in self.people]
        others = [each for each in (*GROUPS, INNER) if each != group]
        alone = [UserId(each) for each in inside if not any(each in members[other] for other in others)]
        before = {each: dict(self.run.directory.licenses(each)) for each in alone}
        for person in alone:
            self.run.directory.leave(group, person)
        for number in range(3):
            self.run.later(hours=6)
            for person in alone:
                self.cli.here.wait(self.run.reconcile(person, cause=f"{group}-{person}-{number}"))
        assert {each: dict(self.run.directory.licenses(each)) for each in alone} == before

    def change_something(self) -> None:
        directory, chance = self.run.directory, self.chance
        group, person = chance.choice((*GROUPS, INNER)), chance.choice(self.people)
        match chance.randrange(3):
            case 0:
                directory.join(group, person)
            case 1 if person in dict(directory._members)[group]:
                directory.leave(group, person)
            case _:
                skus = [each.sku_part_number for each in chance.sample(PRODUCTS, 1)]
                self.expect((0, 1, 3), "group", "assign", chance.choice(GROUPS), *skus, "--yes")

    def planned(self) -> dict[UserId, list[Mapping[str, Any]]]:
        """The rows of each person in the newest previews of the groups of the plan."""
        plan = json.loads(self.plan_file.read_text())
        previews = self.cli("api", "GET", "/api/operations?$top=60").json["value"]
        found: dict[UserId, list[Mapping[str, Any]]] = {}
        for row in plan["groups"]:
            if row["change"].get("keepLicenses"):
                continue  # a group that stops being managed changes nothing for its members
            same = [each for each in previews if each["preview"] and each["checksum"] == row["checksum"]]
            newest = next(each for each in same if each["target"].get("groupId") == row["groupId"])
            for each in self.cli("operation", "members", newest["id"], "-o", "json").json:
                found.setdefault(UserId(each["id"]), []).append(each)
        return found

    def licenses(self) -> Licenses:
        """Direct licenses of everyone, with the apps that are off."""
        return {person: dict(self.run.directory.licenses(person)) for person in self.people}

    def judge(self, before: Licenses, planned: Mapping[UserId, list[Mapping[str, Any]]]) -> None:
        """Everyone has exactly what was planned, and nobody else anything new."""
        after = self.licenses()
        for person in self.people:
            expected = dict(before[person])
            for row in planned.get(person, ()):
                failing = {each["skuId"] for each in row["expectedErrors"]}
                for sku_id in row["removeLicenses"]:
                    expected.pop(SkuId(sku_id), None)
                for license in row["addLicenses"]:
                    if license["skuId"] not in failing:
                        expected[SkuId(license["skuId"])] = frozenset(license["disabledPlans"])
            assert after[person] == expected, (person, planned.get(person), before[person])
