"""The steps of the first day, from permissions to writing, as the start page lists them until all are done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shared.domain.canary import CanaryState
from shared.domain.graph_permissions import Permissions
from shared.domain.writing import Writing


class StepName(StrEnum):
    PERMISSIONS = "permissions"
    SUBSCRIPTION = "subscription"
    CANARY = "canary"
    PREVIEW = "preview"
    WRITING = "writing"


class StepState(StrEnum):
    """`OPTIONAL`: not set up, and the first day is complete without it."""

    DONE = "done"
    OPEN = "open"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `text`: what is the case; `remedy`: what to do, empty if nothing."""

    name: StepName
    state: StepState
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides the steps. `expects_notifications`: whether the app has a public address. `is_subscribed`: whether
    a subscription is in force. `has_previewed`: whether a preview, or an assignment, was ever requested."""

    permissions: Permissions
    expects_notifications: bool
    is_subscribed: bool
    canary: CanaryState
    has_previewed: bool
    writing: Writing


def steps_of(facts: Facts) -> tuple[Step, ...]:
    """All steps, in their order."""
    return (
        _permissions(facts.permissions),
        _subscription(facts),
        _canary(facts.canary),
        _preview(facts),
        _writing(facts.writing),
    )


def is_complete(steps: tuple[Step, ...]) -> bool:
    """Whether nothing is left to do."""
    return all(step.state is not StepState.OPEN for step in steps)


def _permissions(found: Permissions) -> Step:
    if not found.is_known:
        text = "The permissions of the token are not known yet."
        return Step(StepName.PERMISSIONS, StepState.OPEN, text, "Reload the page in a minute.")
    if found.missing:
        names = ", ".join(each.permission for each in found.missing)
        remedy = "Run infra/scripts/grant-graph-permissions.sh. A grant counts when the token is renewed, within a day."
        return Step(StepName.PERMISSIONS, StepState.OPEN, f"The token lacks {names}.", remedy)
    return Step(StepName.PERMISSIONS, StepState.DONE, "The token has every permission that the app needs.")


def _subscription(facts: Facts) -> Step:
    if not facts.expects_notifications:
        text = "PUBLIC_URL is not set, so delta queries find membership changes every five minutes."
        return Step(StepName.SUBSCRIPTION, StepState.OPTIONAL, text)
    if facts.is_subscribed:
        return Step(StepName.SUBSCRIPTION, StepState.DONE, "Microsoft Graph reports membership changes.")
    text = "Microsoft Graph does not report membership changes yet."
    return Step(StepName.SUBSCRIPTION, StepState.OPEN, text, "The app creates the subscription within ten minutes.")


def _canary(state: CanaryState) -> Step:
    match state:
        case CanaryState.NOT_CONFIGURED:
            text = "No canary group is set, so nothing proves daily that membership changes arrive."
            return Step(StepName.CANARY, StepState.OPTIONAL, text, "Set CANARY_GROUP.")
        case CanaryState.PROVEN:
            text = "A membership change of the canary group arrived."
            return Step(StepName.CANARY, StepState.DONE, text)
        case CanaryState.NEVER_CHANGED:
            text = "The membership of the canary group has not changed yet."
            remedy = "Add a member to the group by hand, or turn on writing so that the app changes it daily."
            return Step(StepName.CANARY, StepState.OPEN, text, remedy)
        case CanaryState.WAITING:
            text = "A membership change of the canary group is on its way."
            return Step(StepName.CANARY, StepState.OPEN, text, "Wait for the notification and the next delta query.")
    text = "No membership change of the canary group arrived in the last day."
    return Step(StepName.CANARY, StepState.OPEN, text, "Read the subscription and the delta queries on Health.")


def _preview(facts: Facts) -> Step:
    if facts.has_previewed:
        return Step(StepName.PREVIEW, StepState.DONE, "A change was previewed.")
    remedy = "Choose a group of about five people, and preview one product with available licenses."
    return Step(StepName.PREVIEW, StepState.OPEN, "Nothing was previewed yet.", remedy)


def _writing(writing: Writing) -> Step:
    if writing.is_on:
        return Step(StepName.WRITING, StepState.DONE, "The app writes to Microsoft Graph.")
    if writing.is_read_only:
        remedy = "Grant the permission to write first."
    elif writing.is_forced_off:
        remedy = "The setting WRITING is off. The operator of the app must change it first."
    else:
        remedy = "A person with the role Licensing.Configure turns it on."
    return Step(StepName.WRITING, StepState.OPEN, "The app does not write to Microsoft Graph.", remedy)
