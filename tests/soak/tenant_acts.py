"""What only the tenant does during a soak: its tables differ by seed, plans and products go, an administrator assigns
licenses anew, delta links are rejected."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from local.tenant.settings import CHOICES
from tests.support.administrator import assign_as_administrator
from tests.support.stack_journeys import Journey

SUITE = "SPE_E3"
OTHERS = ("VISIOCLIENT", "POWER_BI_PRO")
PLANS = ("TEAMS1", "SWAY", "YAMMER_ENTERPRISE", "FORMS_PLAN_E3")
"""Plans of the suite that are retired and return; the group turns the first two off."""

STEADY = 20
"""People whom nothing else concerns: their licenses are assigned anew by hand, and at the end they leave the group."""

SHARE = 0.05
"""How often one of the acts comes beside a change of membership."""

KINDS = ("tables", "retiredPlans", "missingProducts", "handBetweenReads", "deltaForgotten", "deltaRejected")


@dataclass
class TenantActs:
    """The acts of the chosen kinds."""

    run: Journey
    chance: random.Random
    kinds: frozenset[str]
    made: int = 0
    _steady: list[str] = field(default_factory=list)
    _by_hand: list[str] = field(default_factory=list)
    _retired: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """Lay the tenant's tables, and put the steady people into the group."""
        if "tables" in self.kinds:
            self._settings(tables="bySeed")
        if "handBetweenReads" in self.kinds:
            placed = self._tenant("POST", "/objects", {"users": [{"usageLocation": "DE"}] * STEADY})
            self._steady = placed["users"]
            self._tenant("POST", "/membership", {"add": [[self.run.main, one] for one in self._steady]})

    def licenses(self) -> dict[str, list[str]]:
        """What the group is to have: part number to disabled plans."""
        if not self.kinds & {"retiredPlans", "missingProducts"}:
            return {SUITE: []}
        plans = {name: plan for plan, name in self.run.oracle.tables.plans[self.run.skus[SUITE]].items()}
        off = [plans[name] for name in PLANS[:2] if name in plans] if "retiredPlans" in self.kinds else []
        more = OTHERS if "missingProducts" in self.kinds else ()
        return {SUITE: off, **{sku: [] for sku in more if self.run.skus[sku] in self.run.oracle.tables.assignable}}

    def some(self) -> None:
        """Now and then, one act."""
        acts = {
            "retiredPlans": self._retire,
            "missingProducts": self._withdraw,
            "handBetweenReads": self._assign_anew,
            "deltaForgotten": self._forget_links,
            "deltaRejected": self._reject_links,
        }
        chosen = [act for kind, act in acts.items() if kind in self.kinds]
        if chosen and self.chance.random() < SHARE:
            self.chance.choice(chosen)()
            self.made += 1

    @property
    def reject_links(self) -> bool:
        """Whether delta links are rejected at times."""
        return not self.kinds.isdisjoint(("deltaForgotten", "deltaRejected"))

    def end(self) -> None:
        """Delta links are taken again, and the steady people leave the group."""
        self._settings(deltaTokenSeconds=604_800)
        if self._steady:
            self._tenant("POST", "/membership", {"remove": [[self.run.main, one] for one in self._steady]})

    def _retire(self) -> None:
        """A plan leaves the suite for good. One that is back within minutes, before a nightly read, looks like one that
        an administrator turned on, and so it is left on; the simulation brings plans back after nights."""
        plan = self.chance.choice(PLANS)
        known = self.run.oracle.tables.plans[self.run.skus[SUITE]].values()
        if plan not in known or plan in self._retired:
            return
        self._tenant("PATCH", "/tables", {"retire": [{"sku": SUITE, "plan": plan}]})
        self._retired.add(plan)

    def _withdraw(self) -> None:
        sku = self.chance.choice(OTHERS)
        if sku in self._tenant("GET", "/summary")["skus"]:
            self._tenant("PATCH", "/tables", {"withdraw": [sku]})

    def _assign_anew(self) -> None:
        """Take the suite from somebody and assign it again, whole: from then on it is the administrator's."""
        person, sku = self.chance.choice(self._steady), self.run.skus[SUITE]
        rows = self._tenant("GET", f"/users/{person}")["licenseAssignmentStates"]
        if not any(row["skuId"] == sku for row in rows) or person in self._by_hand:
            return
        assign_as_administrator(self.run, person, {"addLicenses": [], "removeLicenses": [sku]})
        given = {"addLicenses": [{"skuId": sku, "disabledPlans": []}], "removeLicenses": []}
        assign_as_administrator(self.run, person, given)
        self.run.oracle.by_hand(person, sku, given=True)
        self._by_hand.append(person)

    def _forget_links(self) -> None:
        self._settings(deltaExpired=self.chance.choice(CHOICES["deltaExpired"]))
        self._tenant("POST", "/delta/expire", {})

    def _reject_links(self) -> None:
        self._settings(deltaExpired=self.chance.choice(CHOICES["deltaExpired"]), deltaTokenSeconds=0)

    def _settings(self, **changes: Any) -> None:
        self._tenant("PATCH", "/settings", changes)

    def _tenant(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        return self.run.client.tenant(method, path, body)
