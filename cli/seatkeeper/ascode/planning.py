"""Plans: a preview of each changed group, the people who would lose something, and every reason against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from seatkeeper import fields as f
from seatkeeper import operations, routes
from seatkeeper.ascode.changes import Change, changes_of, differences, stop_managing
from seatkeeper.ascode.model import PolicyTest, Statement
from seatkeeper.ascode.profiles import ProfileChange
from seatkeeper.ascode.profiles import changes_of as changed_profiles
from seatkeeper.ascode.resolving import Resolution, Resolver
from seatkeeper.client import together
from seatkeeper.errors import ApiError, CliError
from seatkeeper.session import Session

AT_ONCE = 40
"""Previews that are open at the same time; the API allows a caller 50."""

ASKED = 8
"""Open previews whose state is read together. They end in about the order in which they were requested."""

MOST_PAUSE_S = 2.0

MOST_PEOPLE = 1000
"""People whose planned changes one request shows."""

DEPENDENCY = "DependencyViolation"
ALLOWABLE = ("removals", "additions", "protected", "dependencies")
"""Reasons against a plan that a person can overrule with --allow."""

OTHER_CHANGES = "otherChanges"
NO_CHANGES: Mapping[str, Any] = {
    **{key: {} for key in (f.ADDITIONS, f.REMOVALS, f.EXPECTED_ERRORS, f.SEATS_NEEDED)},
    **dict.fromkeys((f.PLANS_OFF, f.FAILING, f.WAITING, f.LOSING), 0),
    f.PROTECTED: (),
}
Json = dict[str, Any]


@dataclass
class Planned:
    """A plan with its previews. `document`: the plan file. `faults`: every reason against it."""

    document: Json
    changes: list[Change]
    previews: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """By group."""
    resolution: Resolution = field(default_factory=Resolution)
    faults: list[str] = field(default_factory=list)
    profiles: list[ProfileChange] = field(default_factory=list)


@dataclass(frozen=True)
class ResolvedTest:
    """A policy test with the ID of its person. `skus`: the IDs of its products by name."""

    test: PolicyTest
    user_id: str
    skus: Mapping[str, str]


class Planner:
    def __init__(self, session: Session, allowed: Iterable[str] = ()) -> None:
        self._session = session
        self._client = session.client
        self._names = session.names
        self._allowed = sorted(set(allowed))
        unknown = [each for each in self._allowed if each not in ALLOWABLE]
        if unknown:
            raise CliError(f"--allow {unknown[0]!r} must be one of {', '.join(ALLOWABLE)}.")

    def plan(self, statement: Statement) -> Planned:
        """The plan of the files. Nothing is written; faults are collected, not raised."""
        resolution = Resolver(self._client, self._names).resolve(statement)
        changes = [*changes_of(resolution.groups), *(self._stopped(resolution) if statement.prune else ())]
        faults = [*resolution.faults, *self._prune(statement, resolution)]
        if resolution.faults:
            return Planned({}, changes, {}, resolution, faults)
        previews, profiles = self.previews(changes), changed_profiles(self._client, self._names, resolution.profiles)
        by_id = {each.id: each for each in resolution.groups}
        rows: list[Json] = []
        for change in changes:
            preview, entry = previews[change.group_id], by_id.get(change.group_id)
            place = f"{entry.entry.place}: " if entry else ""
            if preview[f.STATE] != f.COMPLETE:
                error = (preview.get(f.ERROR) or {}).get(f.MESSAGE) or preview[f.STATE]
                faults.append(f"{place}{change.name} could not be planned: {error}")
                continue
            lines = differences(change, entry, self._names) if entry else [self._stop_line(change)]
            row = self._group(change, preview, lines)
            faults += [f"{place}{text}" for text in self._against(statement, row)]
            rows.append(row)
        tests, unknown = self._tests(statement.tests)
        counted = [previews[each.group_id] for each in changes if not each.keep]
        combined = self._combined(counted, (each.user_id for each in tests))
        faults += [*unknown, *(text for each in tests for text in self._test(each, combined[f.MEMBERS]))]
        document = {
            "formatVersion": 1,
            "tenantId": self.tenant(),
            "files": dict(sorted(statement.digests.items())),
            "allowed": self._allowed,
            "groups": rows,
            "profiles": [each.row for each in profiles],
            "previewsChecksum": combined[f.CHECKSUM],
            "totals": self._totals(rows, combined) | {"profiles": len(profiles)},
            "unchanged": len(by_id.keys() - {each.group_id for each in changes}),
            "notChanged": sorted(resolution.not_changed),
        }
        return Planned(document, changes, previews, resolution, faults, profiles)

    def _stopped(self, resolution: Resolution) -> list[Change]:
        """The changes of the managed groups that no file names."""
        resolver = Resolver(self._client, self._names)
        rows = sorted(resolution.unnamed, key=lambda row: (str(row[f.DISPLAY_NAME]).casefold(), row[f.ID]))
        found = ((str(row[f.ID]), str(row[f.DISPLAY_NAME])) for row in rows)
        return [stop_managing(group_id, name, resolver.current(group_id)) for group_id, name in found]

    def _stop_line(self, change: Change) -> str:
        products = ", ".join(sorted(self._names.product_label(each) for each in change.remove))
        return f"No file names this group. It is not managed any more, and its members keep {products}."

    def tenant(self) -> str:
        """The tenant of the app."""
        return str(self._client.ask(routes.HEALTH).get(f.TENANT) or self._client.base)

    def previews(self, changes: Sequence[Change]) -> dict[str, Mapping[str, Any]]:
        """The preview of each change by group, as if all were made together, and groups were left after that."""
        waiting = list(changes)
        open_: dict[str, Mapping[str, Any]] = {}
        found: dict[str, Mapping[str, Any]] = {}
        pause = operations.FIRST_PAUSE_S
        while waiting or open_:
            room = AT_ONCE - len(open_)
            begun, waiting = waiting[:room], waiting[room:]
            started = together(partial(self._started, all_changes=changes), begun)
            open_ |= {change.group_id: each for change, each in zip(begun, started, strict=True)}
            asked = list(open_)[:ASKED]
            open_ |= dict(zip(asked, together(self._again, [open_[each] for each in asked]), strict=True))
            ended = [each for each in open_ if open_[each][f.STATE] in f.ENDED]
            found |= {each: open_.pop(each) for each in ended}
            if ended:
                pause = operations.FIRST_PAUSE_S
            elif open_:
                self._session.surroundings.sleep(pause)
                pause = min(MOST_PAUSE_S, pause * 1.4)
        return found

    def _again(self, preview: Mapping[str, Any]) -> Mapping[str, Any]:
        """A preview as it is now."""
        if preview[f.STATE] in f.ENDED:
            return preview
        found: Mapping[str, Any] = self._client.ask(routes.OPERATION, preview[f.ID])
        return found

    def _started(self, change: Change, all_changes: Sequence[Change]) -> Mapping[str, Any]:
        """A group that stops being managed changes nothing for its members, whatever other groups do before."""
        assumed = () if change.keep else all_changes
        others = [each.assumed for each in assumed if each.group_id != change.group_id]
        body = {**change.body, **({OTHER_CHANGES: others} if others else {})}
        try:
            found: Mapping[str, Any] = self._client.ask(
                routes.ASSIGN_GROUP,
                change.group_id,
                body=body,
                query={f.PREVIEW: True},
                headers={"if-match": operations.etag(change.version)},
            )
            return found
        except ApiError as fault:
            if fault.status not in (400, 409, 412):
                raise
            return {f.STATE: f.FAILED, f.ERROR: {f.MESSAGE: fault.message}, f.ID: ""}

    def _combined(self, previews: Iterable[Mapping[str, Any]], people: Iterable[str] = ()) -> Json:
        """All previews together, with what they plan for these people. Several requests if these are many."""
        ids, asked = [str(each[f.ID]) for each in previews if each[f.STATE] == f.COMPLETE], sorted(set(people))
        if not ids:
            return {f.CHECKSUM: "", f.ADDITIONS: {}, f.REMOVALS: {}, f.MEMBERS: []}
        parts = [asked[start : start + MOST_PEOPLE] for start in range(0, len(asked), MOST_PEOPLE)] or [[]]
        bodies = [{f.OPERATION_IDS: ids, f.USER_IDS: part} for part in parts]
        answers = [self._client.ask(routes.COMBINED_PLAN, body=body) for body in bodies]
        return {**answers[0], f.MEMBERS: [row for each in answers for row in each[f.MEMBERS]]}

    def _group(self, change: Change, preview: Mapping[str, Any], lines: list[str]) -> Json:
        # A stop changes nothing for its members. What its preview shows is late work of the groups as they are now.
        plan = {**preview[f.PLAN], **(NO_CHANGES if change.keep else {})}
        return {
            "groupId": change.group_id,
            "displayName": change.name,
            "version": change.version,
            "change": change.body,
            "assigned": list(change.assigned),
            "lines": lines,
            "checksum": preview[f.CHECKSUM],
            "members": preview[f.TOTALS][f.MEMBERS],
            "assign": _labeled(self._names.product_label, plan[f.ADDITIONS]),
            "remove": _labeled(self._names.product_label, plan[f.REMOVALS]),
            "appsOff": plan[f.PLANS_OFF],
            "short": self._short(plan),
            "expectedErrors": dict(sorted(plan[f.EXPECTED_ERRORS].items())),
            "failing": plan[f.FAILING],
            "waiting": plan[f.WAITING],
            "warnings": sorted(plan[f.WARNINGS]),
            "keeping": plan[f.KEEPING],
            "losing": self.losing(preview) if plan[f.LOSING] else [],
            "losingApps": plan[f.LOSING],
            "protectedPeople": sorted(plan.get(f.PROTECTED, ())),
        }

    def gained(self, preview: Mapping[str, Any]) -> dict[str, int]:
        """Licenses to assign by product."""
        return _labeled(self._names.product_label, preview[f.PLAN][f.ADDITIONS])

    def _short(self, plan: Mapping[str, Any]) -> dict[str, int]:
        short = {sku: needed - plan[f.SEATS_AVAILABLE].get(sku, 0) for sku, needed in plan[f.SEATS_NEEDED].items()}
        return _labeled(self._names.product_label, {sku: by for sku, by in short.items() if by > 0})

    def losing(self, preview: Mapping[str, Any]) -> list[Json]:
        """Everyone who would lose a product or an app, by name."""
        people = []
        for row in self._client.all(routes.PLANNED_MEMBERS, str(preview[f.ID]), query={f.ONLY_LOSING: True}):
            off = [
                f"{self._names.product_label(each[f.SKU_ID])}: {self._names.app_label(each[f.SKU_ID], plan)}"
                for each in row[f.PLANS_OFF]
                for plan in each[f.SERVICE_PLANS]
            ]
            loses = sorted(self._names.product_label(each) for each in row[f.REMOVE]) + sorted(off)
            people.append({f.ID: row[f.ID], f.UPN: self._names.sign_in_name(row), "loses": loses})
        return sorted(people, key=lambda each: (str(each[f.UPN]).casefold(), each[f.ID]))

    def _against(self, statement: Statement, row: Json) -> list[str]:
        """The reasons against the plan of a group that were not allowed."""
        losing, name = len(row["losing"]), row["displayName"]
        gained = sum(row["assign"].values())
        removals, additions = statement.removals.most(row["members"]), statement.additions.most(row["members"])
        found = []
        if removals is not None and losing > removals and "removals" not in self._allowed:
            found.append(
                f"{losing:,} of {row['members']:,} people in {name} would lose something, and safety.removals holds "
                f"above {removals:,}. If they should, add --allow removals."
            )
        if additions is not None and gained > additions and "additions" not in self._allowed:
            found.append(
                f"{name} would gain {gained:,} licenses, and safety.additions holds above {additions:,}. "
                "If it should, add --allow additions."
            )
        if row["protectedPeople"] and "protected" not in self._allowed:
            people = {each[f.ID]: each[f.UPN] for each in row["losing"]}
            shown = ", ".join(str(people.get(each, each)) for each in row["protectedPeople"][:10])
            found.append(
                f"Protected people in {name} would lose something: {shown}. If they should, add --allow protected."
            )
        if row["expectedErrors"].get(DEPENDENCY) and "dependencies" not in self._allowed:
            found.append(
                f"{row['expectedErrors'][DEPENDENCY]:,} people in {name} would fail because an app needs another one "
                f"that is off. {' '.join(row['warnings'])} Turn the app on, or add --allow dependencies."
            )
        return found

    def _totals(self, rows: Sequence[Json], combined: Json) -> Json:
        """The sums of the plan. A person of two groups counts once for a product that both change."""
        errors: Counter[str] = Counter()
        for row in rows:
            errors.update(row["expectedErrors"])
        return {
            "groups": len(rows),
            "assign": sum(combined[f.ADDITIONS].values()),
            "remove": sum(combined[f.REMOVALS].values()),
            "noLongerManaged": sum(bool(row["change"].get(f.KEEP)) for row in rows),
            "losing": len({each[f.ID] for row in rows for each in row["losing"]}),
            "failing": sum(row["failing"] for row in rows),
            "waiting": sum(row["waiting"] for row in rows),
            "errors": dict(sorted(errors.items())),
            "needApproval": sum(bool(row["losing"]) for row in rows),
        }

    def _prune(self, statement: Statement, resolution: Resolution) -> list[str]:
        if not statement.prune:
            return []
        if not statement.groups:
            return ["prune is true and no group is named. Then no group would be managed any more."]
        found = []
        for row in resolution.unnamed:
            operation_id = Resolver(self._client, self._names).current(str(row[f.ID])).operation_id
            state = self._client.ask(routes.OPERATION, operation_id)[f.STATE] if operation_id else f.COMPLETE
            if state not in f.ENDED:
                name = row[f.DISPLAY_NAME]
                found.append(f"{name} is no longer named, and its operation {operation_id} is {state}. Wait for it.")
        return found

    def _tests(self, tests: Iterable[PolicyTest]) -> tuple[list[ResolvedTest], list[str]]:
        """The policy tests with IDs, and the reasons against those with unknown names."""
        found, faults = [], []
        for test in tests:
            try:
                user_id = self._names.user(test.user)
                skus = {name: self._names.product(name) for name in (*test.has, *test.has_not)}
                found.append(ResolvedTest(test, user_id, skus))
            except CliError as fault:
                faults.append(f"{test.place}: {fault.message}")
        return found, faults

    def _test(self, resolved: ResolvedTest, members: Iterable[Mapping[str, Any]]) -> list[str]:
        """The reasons of a policy test against the plan: products that the person would have or lack."""
        test, skus = resolved.test, resolved.skus
        licenses = self._client.all(routes.USER_LICENSES, resolved.user_id)
        has = {each[f.SKU_ID] for each in licenses if not each[f.ERROR]}
        for row in members:
            if row[f.ID] == resolved.user_id:
                failing = {each[f.SKU_ID] for each in row["expectedErrors"]}
                has |= {each[f.SKU_ID] for each in row[f.ADD]} - failing
                has -= set(row[f.REMOVE])
        lacking = [name for name in test.has if skus[name] not in has]
        having = [name for name in test.has_not if skus[name] in has]
        begin = f"{test.place}: The test fails: {test.user} would"
        found = [f"{begin} not have {', '.join(lacking)}."] if lacking else []
        return found + ([f"{begin} have {', '.join(having)}."] if having else [])


def _labeled(label: Callable[[str], str], counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted((label(sku), count) for sku, count in counts.items()))
