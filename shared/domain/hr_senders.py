"""The permitted senders of HR events of a source.

By HTTP, the token of the request names the application, or the person who corrects events by hand. By queue, senders
cannot be distinguished. Service Bus checks only the right to send on the queue (role Azure Service Bus Data Sender,
scoped to a queue at least). A message has no verified sender. So a source comes by queue only if the setting says so,
and then from every sender with that right.

Source: "Authenticate a managed identity with Microsoft Entra ID to access Azure Service Bus resources",
learn.microsoft.com/azure/service-bus-messaging/service-bus-managed-service-identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.domain.hr_groups import FormerUse
from shared.domain.ids import is_guid
from shared.domain.initiator import Initiator, InitiatorKind
from shared.domain.messages import ONBOARDING

SETTING = "ONBOARDING_SENDERS"
BY_QUEUE = "queue"
NO_SENDERS = "none"

Senders = Mapping[str, frozenset[str]]
"""Source -> client ids of the applications and object ids of the people that may send its events, and `queue`."""


def read_senders(text: str) -> Senders | None:
    """From `source sender sender, source sender`; None for an empty text. Raises ValueError that names the part."""
    if not text.strip():
        return None
    found: dict[str, frozenset[str]] = {}
    for part in filter(None, map(str.strip, text.split(","))) if text.strip().lower() != NO_SENDERS else ():
        source, *senders = part.split()
        names = frozenset(each.lower() for each in senders)
        if not names or source == "*" or not all(each == BY_QUEUE or is_guid(each) for each in names):
            rule = f"a source, then ids of applications or people or the word {BY_QUEUE}, in each part"
            raise ValueError(f"must have {rule}, not {part!r}")
        found[source] = found.get(source, frozenset()) | names
    return found


def sender_of(initiator: Initiator) -> str:
    """The application's client id, the person's object id, or `queue`; empty for others. A person is not known by the
    client: many people use the same one."""
    if initiator.channel == ONBOARDING:
        return BY_QUEUE
    if initiator.kind is InitiatorKind.USER:
        return initiator.id.lower()
    return initiator.app_id.lower() if initiator.kind in (InitiatorKind.APP, InitiatorKind.HR) else ""


@dataclass(frozen=True, slots=True)
class HrSenders:
    """The permitted senders, by the setting, or for a while by the former senders."""

    pairs: frozenset[tuple[str, str]]

    def may_send(self, source: str, initiator: Initiator) -> bool:
        return (source, sender_of(initiator)) in self.pairs

    def why_not(self, source: str, initiator: Initiator) -> str:
        """Which rule keeps the sender from sending events of the source; empty if none does."""
        if self.may_send(source, initiator):
            return ""
        sender = sender_of(initiator)
        kind = "person" if initiator.kind is InitiatorKind.USER else "application"
        who = "the queue" if sender == BY_QUEUE else f"{kind} {sender or 'without an id'}"
        return f"must be one that {SETTING} binds to {who} (an administrator of this app adds it)"


def hr_senders(setting: Senders | None, former: FormerUse, now: datetime) -> HrSenders:
    """`setting`: None if it is absent. Then those who sent when this version first ran may send, for 30 days."""
    if setting is not None:
        return HrSenders(frozenset((source, each) for source, senders in setting.items() for each in senders))
    return HrSenders(former.senders if now < former.accepted_until else frozenset())


def former_senders(initiators: Iterable[Initiator]) -> frozenset[tuple[str, str]]:
    """Pairs of source and sender, from the senders of stored events."""
    return frozenset((each.claimed_by, sender_of(each)) for each in initiators if sender_of(each))


def sender_warnings(setting: Senders | None, former: FormerUse, now: datetime) -> list[str]:
    """Warnings for an administrator while the setting is absent."""
    if setting is not None or not former.senders:
        return []
    sources = ", ".join(sorted({source for source, _ in former.senders}))
    until = f"{former.accepted_until:%Y-%m-%d}"
    if now < former.accepted_until:
        return [f"{SETTING} is absent: existing senders of {sources} are accepted until {until}, and then none"]
    return [f"{SETTING} is absent: events of {sources} are rejected since {until}"]
