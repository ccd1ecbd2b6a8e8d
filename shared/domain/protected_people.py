"""Protected people: whose licenses are removed only with an approval of their own.

They hold a privileged directory role, directly or through a group, or are eligible for one. They are named in the
settings, or are members of a group that is named there. Protection lasts for 30 days after the reason for it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.ids import UserId

LASTS_AFTER = timedelta(days=30)
"""How long a person stays protected after the role ended: who takes a role away must not take the licenses next."""

READ_EVERY = timedelta(hours=20)
"""A complete list is read again after this time, so once a day. Each timer tries a failed read again."""

NAMED = "named in PROTECTED_ACCOUNTS"

PRIVILEGED_ROLES: Mapping[str, str] = {
    "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3": "Application Administrator",
    "cf1c38e5-3621-4004-a7cb-879624dced7c": "Application Developer",
    "ecb2c6bf-0ab6-418e-bd87-7986f8d63bbe": "Attribute Provisioning Administrator",
    "422218e4-db15-4ef9-bbe0-8afb41546d79": "Attribute Provisioning Reader",
    "c4e39bd9-1100-46d3-8c65-fb160da0071f": "Authentication Administrator",
    "25a516ed-2fa0-40ea-a2d0-12923a21473a": "Authentication Extensibility Administrator",
    "aaf43236-0c0d-4d5f-883a-6955382ac081": "B2C IEF Keyset Administrator",
    "158c047a-c907-4556-b7ef-446551a6b5f7": "Cloud Application Administrator",
    "7698a772-787b-4ac8-901f-60d6b08affd2": "Cloud Device Administrator",
    "b1be1c3e-b65d-4f19-8427-f6fa0d97feb9": "Conditional Access Administrator",
    "9360feb5-f418-4baa-8175-e2a00bac4301": "Directory Writers",
    "8329153b-31d0-4727-b945-745eb3bc5f31": "Domain Name Administrator",
    "be2f45a1-457d-42af-a067-6ec1fa63bc45": "External Identity Provider Administrator",
    "62e90394-69f5-4237-9190-012177145e10": "Global Administrator",
    "f2ef992c-3afb-46b9-b7cf-a126ee74c451": "Global Reader",
    "729827e3-9c14-49f7-bb1b-9608f156bbb8": "Helpdesk Administrator",
    "8ac3fc64-6eca-42ea-9e69-59f4c7b60eb2": "Hybrid Identity Administrator",
    "3a2c62db-5318-420d-8d74-23affee5d9d5": "Intune Administrator",
    "59d46f88-662b-457b-bceb-5c3809e5908f": "Lifecycle Workflows Administrator",
    "4ba39ca4-527c-499a-b93d-d9b492c50246": "Partner Tier1 Support",
    "e00e864a-17c5-4a4b-9c06-f5b95a8d5bd8": "Partner Tier2 Support",
    "966707d0-3269-4727-9be2-8c3a10f19b9d": "Password Administrator",
    "7be44c8a-adaf-4e2a-84d6-ab2649e08a13": "Privileged Authentication Administrator",
    "e8611ab8-c189-46e8-94e1-60213ab1f814": "Privileged Role Administrator",
    "194ae4cb-b126-40b2-bd5b-6091b380977d": "Security Administrator",
    "5f2222b1-57c3-48ba-8ad5-d4759f1fde6f": "Security Operator",
    "5d6b6bb7-de71-4623-b4af-96380a352509": "Security Reader",
    "fe930be7-5e62-47db-91af-98c3a49a38b1": "User Administrator",
}
"""Template id -> name of each role that "Microsoft Entra built-in roles"
(learn.microsoft.com/entra/identity/role-based-access-control/permissions-reference, as of 2025-05-26) labels as
privileged. Roles that Graph itself shows as `isPrivileged` count too, so that a newer role is not missed."""


@dataclass(frozen=True, slots=True)
class Protected:
    """Why a person is protected, such as the names of roles. `until`: when it ends; None while the reason lasts."""

    reasons: tuple[str, ...]
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ProtectedList:
    """The list as it was last read. `read_at`: of the last complete read, None before the first one. `fault`: why the
    latest read was incomplete; empty if it was complete."""

    people: Mapping[UserId, Protected] = field(default_factory=dict)
    read_at: datetime | None = None
    fault: str = ""

    def is_due(self, now: datetime) -> bool:
        """Whether it is time to read the list."""
        return self.read_at is None or bool(self.fault) or now - self.read_at >= READ_EVERY

    def refreshed(self, found: Mapping[UserId, tuple[str, ...]], now: datetime) -> ProtectedList:
        """The list after a complete read. `found`: all protected people, with the reasons."""
        people = {user_id: Protected(reasons) for user_id, reasons in found.items()}
        for user_id, before in self.people.items():
            until = before.until or now + LASTS_AFTER
            if user_id not in people and now < until:
                people[user_id] = Protected(before.reasons, until)
        return ProtectedList(people, now)


@dataclass(frozen=True, slots=True)
class Protection:
    """The protected people, as far as known. `required`: the list must have been read before anything is removed."""

    listed: ProtectedList = ProtectedList()
    accounts: frozenset[UserId] = frozenset()
    required: bool = False

    @property
    def is_known(self) -> bool:
        return not self.required or self.listed.read_at is not None

    def count(self, now: datetime) -> int:
        """How many people are protected."""
        return len({*self.accounts, *(each for each in self.listed.people if self.protects(each, now))})

    def reasons(self, user_id: UserId, now: datetime) -> tuple[str, ...]:
        """Why a person is protected; empty: the person is not."""
        found = self.listed.people.get(user_id)
        lasts = found is not None and (found.until is None or now < found.until)
        named = (NAMED,) if user_id in self.accounts else ()
        return (*named, *(found.reasons if found is not None and lasts else ()))

    def protects(self, user_id: UserId, now: datetime) -> bool:
        return bool(self.reasons(user_id, now))
