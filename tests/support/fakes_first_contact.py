"""A fake of the requests of the first-contact check: answers by name, and a test user and group that writes change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from shared.domain.first_contact import Answer, Subject


def _error(status: int, code: str, message: str = "") -> Answer:
    return Answer(status, {}, {"error": {"code": code, "message": message}})


@dataclass(slots=True)
class FakeProbes:
    """`answers`: replace the answer to a name. `dies_at`: the process dies when this name is asked for, after Graph has
    carried it out. `asked`: every request so far. `takes_unknown`: a group accepts a product that does not exist.
    `contended`: how often a write is still rejected because of others, by name. `before`: called before each answer.
    `at_once`: license writes of one batch that are accepted, `item`: the answer to each of them instead, `held`:
    users of a load run with their licenses, and the most users with one at any time. `excluded`: messages of products
    that cannot be assigned."""

    answers: dict[str, Answer] = field(default_factory=dict)
    dies_at: str = ""
    asked: list[str] = field(default_factory=list)
    licensed: bool = False
    location: str = "DE"
    member: bool = False
    group_licensed: bool = False
    takes_unknown: bool = False
    changes: int = 0
    contended: dict[str, int] = field(default_factory=dict)
    before: Callable[[str], Awaitable[None]] | None = None
    at_once: int = 20
    item: Answer | None = None
    held: set[tuple[str, str]] = field(default_factory=set)
    most_holders: int = 0
    excluded: dict[str, str] = field(default_factory=dict)

    @property
    def holders(self) -> set[str]:
        """Users of a load run who have a license."""
        return {user_id for user_id, _ in self.held}

    async def ask(self, name: str, subject: Subject) -> Answer:
        self.asked.append(name)
        if self.before is not None:
            await self.before(name)
        if self.contended.get(name):
            self.contended[name] -= 1
            return _error(400, "Request_BadRequest", "Error due to concurrent requests being made to the tenant.")
        answer = self.answers.get(name) or self._answer(name, subject)
        if name == self.dies_at:
            self.dies_at = ""
            raise KeyboardInterrupt
        return answer

    def path_of(self, link: str) -> str:
        return link

    def _answer(self, name: str, subject: Subject) -> Answer:
        writes: dict[str, Callable[[], None]] = {
            "assign": lambda: setattr(self, "licensed", True),
            "assignAgain": lambda: setattr(self, "licensed", True),
            "remove": lambda: setattr(self, "licensed", False),
            "join": lambda: setattr(self, "member", True),
            "leave": lambda: setattr(self, "member", False),
            "locationUk": lambda: setattr(self, "location", "UK"),
            "restoreGroup": lambda: setattr(self, "group_licensed", False),
            "restoreLocation": lambda: setattr(self, "location", subject.prior_location or ""),
        }
        if name == "groupUnknownSku" and self.takes_unknown:
            self.group_licensed = True
            return Answer(202)
        if name.startswith("load"):
            return self._batch(name, subject)
        if name in writes:
            writes[name]()
            self.changes += 1
            return Answer(204)
        if name in ("partial", "unknownPlan", "removeUnknown", "groupUnknownSku", "badId"):
            return _error(400, "Request_BadRequest", "Rejected.")
        return Answer(200, {}, self._body(name, subject))

    def _batch(self, name: str, subject: Subject) -> Answer:
        found = []
        for number, user_id in enumerate(subject.test_user_ids):
            answer = self._item(name, replace(subject, test_user_id=user_id), number)
            headers = dict(answer.headers)
            found.append({"id": str(number), "status": answer.status, "headers": headers, "body": answer.body})
        self.most_holders = max(self.most_holders, len(self.holders))
        return Answer(200, {}, {"responses": found[::-1]})

    def _item(self, name: str, subject: Subject, number: int) -> Answer:
        user_id = subject.test_user_id
        if name == "loadUsers":
            states = [{"skuId": sku} for who, sku in sorted(self.held) if who == user_id]
            return Answer(200, {}, {"id": user_id, "usageLocation": "DE", "licenseAssignmentStates": states})
        if name not in ("loadAssign", "loadRemove"):
            return Answer(200, {}, {"value": []})
        if self.item is not None:
            return self.item
        if number >= self.at_once:
            return _error(409, "Directory_ConcurrencyViolation", "Error due to concurrent requests.")
        if subject.test_sku_id in self.excluded:
            return _error(400, "Request_BadRequest", self.excluded[subject.test_sku_id])
        (self.held.add if name == "loadAssign" else self.held.discard)((user_id, subject.test_sku_id))
        return Answer(200, {}, {"id": user_id})

    def _body(self, name: str, subject: Subject) -> Any:
        user = subject.test_user_id
        time = f"2026-01-01T00:00:{self.changes:02d}Z"
        state = {"skuId": subject.test_sku_id, "state": "Active", "error": "None", "lastUpdatedDateTime": time}
        if name == "testUser":
            states = [state] if self.licensed else []
            return {"id": user, "usageLocation": self.location, "licenseAssignmentStates": states}
        if name == "testGroups":
            return {"value": [{"id": subject.test_group_id}] if self.member else []}
        if name == "testGroup":
            return {
                "id": subject.test_group_id,
                "assignedLicenses": [{}] * self.group_licensed,
                "securityEnabled": True,
            }
        if name == "subscribedSkus":
            units = {"enabled": 99, "lockedOut": 0}
            sku = {"skuId": subject.test_sku_id or "a", "appliesTo": "User", "consumedUnits": 1, "prepaidUnits": units}
            return {"value": [sku]}
        if name in ("latest", "enumerated", "deltaEnumerated"):
            return {"value": [], "@odata.deltaLink": f"/delta/{name}"}
        if name.startswith("changes"):
            changed = {"id": subject.test_group_id, "members@delta": [{"id": user}]}
            return {"value": [changed] if self.member else [], "@odata.deltaLink": "/delta"}
        return {"value": []}
