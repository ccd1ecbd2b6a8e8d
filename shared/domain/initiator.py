"""Who caused something: a person or an application by its token, or the app's own work.

A message can claim an identity (`requestedBy` of a job, `source` of an HR event). Nobody has checked that, so it is
kept beside the identity that was checked and never takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

PAGE, API, TIMER = "page", "api", "timer"
"""Channels. Others are the name of the queue that a message came by, or the trigger that caused the app's own work."""


class InitiatorKind(StrEnum):
    USER = "user"
    APP = "app"
    TIMER = "timer"
    HR = "hr"


@dataclass(frozen=True, slots=True)
class Initiator:
    """Who caused something, and over which channel.

    `id`: object ID of the user or service principal in the token; empty if there was no token. `app_id`: the client
    application that the token names. `claimed_by`: the identity that the message itself claims; not verified.
    """

    id: str
    display_name: str
    kind: InitiatorKind = InitiatorKind.USER
    app_id: str = ""
    channel: str = ""
    claimed_by: str = ""

    @property
    def is_app_itself(self) -> bool:
        """Whether it has no requester: the app's own timers and triggers caused it."""
        return self.kind is InitiatorKind.TIMER

    @property
    def person_id(self) -> str | None:
        """The object ID of the person; None for an application, HR and the app itself."""
        return self.id if self.kind is InitiatorKind.USER else None

    @property
    def key(self) -> str:
        """What rows name it by: its ID, or the queue of a sender that is not known."""
        return self.id or self.channel

    @property
    def names(self) -> tuple[str, ...]:
        """Every text by which a search finds it."""
        return (self.id, self.app_id, self.display_name, self.claimed_by)


SYSTEM = Initiator("", "Seatkeeper", InitiatorKind.TIMER, channel=TIMER)


def queue_sender(queue: str, claimed_by: str) -> Initiator:
    """The sender of a message: Service Bus checks the right to send, but a message does not say who sent it
    (learn.microsoft.com/azure/service-bus-messaging/service-bus-authentication-and-authorization)."""
    return Initiator("", f"Queue {queue}", InitiatorKind.APP, channel=queue, claimed_by=claimed_by)


def hr_sender(sender: Initiator, source: str) -> Initiator:
    """The initiator of what an HR event causes: who sent it, with the event's own `source` as a claim. A person stays a
    person."""
    kind = sender.kind if sender.kind is InitiatorKind.USER else InitiatorKind.HR
    return replace(sender, kind=kind, claimed_by=source)
