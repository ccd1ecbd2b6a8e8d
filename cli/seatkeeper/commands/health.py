"""Commands about the app itself."""

from __future__ import annotations

from typing import Any

from seatkeeper import columns, routes
from seatkeeper import fields as f
from seatkeeper.errors import ERROR, OK
from seatkeeper.framework import command, group
from seatkeeper.session import Session

app = group("app", "The app itself: health, change feed, and the switch for writes to Graph.")


@command(app, "health", "app health", "app health -o json --query writes.used")
def health(session: Session) -> int:
    """Changes, write quota, queues, open work. The exit code is 1 if something needs a person."""
    found = session.client.ask(routes.HEALTH)
    faults = _faults(found)

    def lines() -> None:
        feed, writes, permissions = found["changeFeed"], found["writes"], found["permissions"]
        subscription = feed["subscription"] or {}
        session.output.pairs(
            [
                ("Writing to Graph", found["writing"]["on"]),
                ("Writes used", f"{writes['used']:,} of {writes['limit']:,} in {writes['windowSeconds']:.0f} s"),
                ("Throttled until", writes["throttledUntilDateTime"]),
                ("Last notification", subscription.get("lastNotificationDateTime")),
                ("Subscription ends", subscription.get("expirationDateTime")),
                ("Last delta query", feed["lastDeltaDateTime"]),
                ("Last nightly sync", found["lastSyncDateTime"]),
                ("Canary group", found["canary"]["state"]),
                ("Token expires", permissions["tokenExpirationDateTime"]),
                ("Permissions", permissions["present"] if permissions["known"] else "not known yet"),
                ("Not needed", permissions["excess"]),
                ("Open operations", found["openOperations"]),
                ("Dead letters", found["deadLetters"]),
                ("Clock ahead (s)", found["clockAheadSeconds"]),
                ("Country", found["country"] or "not known"),
                ("Audit closed until", found["auditDigests"]["closedHour"]),
                ("Protected people", found["protectedPeople"]["count"]),
                ("Protected list read", found["protectedPeople"]["lastReadDateTime"]),
            ]
        )
        session.output.heading("Queues")
        session.output.rows(found["queues"], columns.QUEUES, "The queues could not be read.")
        for fault in faults:
            session.output.say(f"Attention: {fault}")
        for step in found["firstDay"]:
            session.output.say(f"First day: {step['name']} is {step['state']}. {step['text']} {step['remedy'] or ''}")

    session.output.one(found, lines)
    return ERROR if faults else OK


def _faults(found: dict[str, Any]) -> list[str]:
    """Everything that needs a person."""
    feed = found["changeFeed"]
    digests = found["auditDigests"]
    people = found["protectedPeople"]
    writing = found["writing"]
    missing = ", ".join(each["permission"] for each in found["permissions"]["missing"])
    canary = found["canary"]
    named = [
        (missing, f"The token lacks {missing}. Grant them: infra/scripts/grant-graph-permissions.sh"),
        (canary["state"] == "overdue", "No membership change of the canary group arrived in the last day."),
        (canary["fault"], f"The canary group was not changed: {canary['fault']}"),
        (not writing["on"], "The app does not write to Graph. Turn it on: seatkeeper app writing on"),
        (feed["expected"] and not feed["subscription"], "There is no subscription to change notifications."),
        (feed["rejectedDeltas"], "Graph rejects delta links."),
        (found["deadLetters"], f"{found['deadLetters']} dead letters wait. List them: seatkeeper dead-letter list"),
        (found["queuesError"], f"The queues cannot be read: {found['queuesError']}"),
        (digests["fault"], f"The audit log cannot be closed: {digests['fault']}"),
        (people["fault"], f"The list of protected people cannot be read: {people['fault']}"),
        *((True, str(each)) for each in found["hrLimits"]),
    ]
    return [text for is_fault, text in named if is_fault]


@command(app, "changes", "app changes -o json")
def changes(session: Session) -> None:
    """How membership changes reach the app: subscription, notifications, delta queries."""
    found = session.client.ask(routes.CHANGE_FEED)
    made = found["subscription"] or {}

    def lines() -> None:
        session.output.pairs(
            [
                ("Subscription", made.get(f.ID) or "none"),
                ("Ends", made.get("expirationDateTime")),
                ("Last notification", made.get("lastNotificationDateTime")),
                ("Last delta query", found["lastDeltaDateTime"] or "none yet"),
                ("Rejected today", found["rejectedToday"]),
                ("Rejected delta links", len(found["rejectedDeltas"])),
            ]
        )

    session.output.one(found, lines)


writing = group("writing", "Whether the app writes to Graph.")
app.add_typer(writing)


@command(writing, "show", "app writing show")
def writing_show(session: Session) -> None:
    """Whether the app writes to Graph, and since when."""
    _writing(session, session.client.ask(routes.WRITING))


@command(writing, "on", "app writing on --yes", writes=True)
def writing_on(session: Session) -> None:
    """Let the app write to Graph. Only a person can do this."""
    session.confirm("Let the app write to Graph?")
    _writing(session, session.client.ask(routes.WRITING_ON))


@command(writing, "off", "app writing off --yes", writes=True)
def writing_off(session: Session) -> None:
    """Stop all writes to Graph. Only a person can do this."""
    session.confirm("Stop all writes to Graph?")
    _writing(session, session.client.ask(routes.WRITING_OFF))


def _writing(session: Session, found: dict[str, object]) -> None:
    pairs = [("Writing", found["on"]), ("Forced off", found["forcedOff"]), ("Changed", found["changedDateTime"])]
    session.output.one(found, lambda: session.output.pairs(pairs))
