"""Answers about the app itself: change feed, writes, queues, dead letters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from functions.web.contract.shapes.common import (
    HERE,
    Answer,
    ClaimedBy,
    Count,
    Initiator,
    OperationIdText,
    Page,
    Time,
    example,
)
from functions.web.contract.shapes.first_contact import Run
from shared.domain.canary import CanaryState
from shared.domain.dead_letters import BulkKind
from shared.domain.first_day import StepName, StepState
from shared.domain.graph_permissions import Feature
from shared.domain.read_models import DeadLetterKind


class Subscription(Answer):
    id: Annotated[str, example("7f105c7d-2dc5-4530-97cd-4e7ae6534c07")]
    notification_url: Annotated[str, example(f"{HERE}/api/notifications")]
    created_date_time: Time
    expiration_date_time: Time
    last_notification_date_time: Time | None


class RejectedDelta(Answer):
    """A slice of groups whose delta links Graph rejected several times in a row. Notifications and the nightly sync
    still find its changes."""

    slice: Annotated[int, Field(ge=0, examples=[0])]
    groups: Annotated[int, Field(ge=0, le=100, examples=[50])]
    rejections: Annotated[int, Field(ge=3, examples=[4])]
    reason: Annotated[str, example("Graph answered 404 to /groups/delta: UnknownError")]
    next_attempt_date_time: Time | None


class ChangeFeed(Answer):
    expected: bool
    subscription: Subscription | None
    rejected_today: Count
    last_delta_date_time: Time | None
    rejected_deltas: list[RejectedDelta]


class Writing(Answer):
    """Whether the app writes to Graph; `forcedOff` by the setting WRITING; `readOnly`: it has no permission to."""

    on: bool
    forced_off: bool
    read_only: bool
    changed_date_time: Time | None


class Writes(Answer):
    """Writes to Graph of the last `windowSeconds`, and their limits."""

    used: Annotated[int, Field(ge=0, examples=[2400])]
    limit: Annotated[int, Field(ge=0, examples=[3000])]
    window_seconds: Annotated[float, Field(examples=[150.0])]
    bulk_per_second: Annotated[float, Field(examples=[18.0])]
    throttled_until_date_time: Time | None


class QueueState(Answer):
    queue: Annotated[str, example("members-bulk")]
    waiting: Annotated[int, Field(description="Counted up to 100.", ge=0, le=100, examples=[12])]
    scheduled: Annotated[int, Field(description="Counted up to 100.", ge=0, le=100, examples=[3])]
    more: bool
    oldest_date_time: Time | None
    denied: Annotated[
        int, Field(description="Messages that wait for a permission, counted up to 100.", ge=0, le=100, examples=[3])
    ]
    denial: Annotated[str, example("403 to GET /organization")] | None


class AuditDigests(Answer):
    """The last hour of the audit log that was closed, and why closing the next one failed."""

    closed_hour: Time | None
    fault: Annotated[str, example("202611.jsonl is missing in the container audit")] | None


class ProtectedPeople(Answer):
    """People whose licenses are removed only with an approval that names them. While a list is required and was never
    read, all removals wait. `fault`: why the latest read failed; the last list stays in force."""

    required: bool
    count: Count
    last_read_date_time: Time | None
    fault: Annotated[str, example("403 Forbidden")] | None


class MissingPermission(Answer):
    """A permission that the token lacks. `feature`: what needs it, as the script that grants it names it."""

    permission: Annotated[str, example("Group.Read.All")]
    feature: Feature


class Permissions(Answer):
    """Microsoft Graph's permissions in the token that the app uses now, which can be a day older than its grants.
    `excess`: no feature needs them. While `known` is false, the lists are empty."""

    known: bool
    present: Annotated[list[str], Field(examples=[["Group.Read.All", "User.Read.All"]])]
    missing: list[MissingPermission]
    excess: Annotated[list[str], Field(examples=[["Mail.Read"]])]
    token_expiration_date_time: Time | None


class CanaryGroup(Answer):
    """Whether changes of the canary group arrive by notification and by delta. `changedByHand`: a person changes its
    membership, because no member is set or a permission is missing."""

    state: CanaryState
    changed_by_hand: bool
    changed_date_time: Time | None
    notified_date_time: Time | None
    in_delta_date_time: Time | None
    fault: Annotated[str, example("The write quota is used. The next night tries again.")] | None


class FirstDayStep(Answer):
    """A step of the first day. `text`: what is the case; `remedy`: what to do."""

    name: StepName
    state: StepState
    text: Annotated[str, example("Nothing was previewed yet.")]
    remedy: Annotated[str, example("Choose a group of about five people, and preview one product.")] | None


class Health(Answer):
    tenant_id: Annotated[str, example("3f2504e0-4f89-41d3-9a0c-0305e82c3301")]
    change_feed: ChangeFeed
    writing: Writing
    writes: Writes
    queues: list[QueueState]
    queues_error: Annotated[str, example("queue members: ServiceBusConnectionError")] | None
    open_operations: Count
    dead_letters: Annotated[int, Field(description="Counted up to 100,000.", ge=0, le=100_000, examples=[0])]
    clock_ahead_seconds: (
        Annotated[int, Field(description="Ahead of Graph's clock; null if not known yet.", examples=[0])] | None
    )
    country: (
        Annotated[
            str,
            Field(
                description="Of the organization, for users without a usage location; null if it is not known.",
                examples=["DE"],
            ),
        ]
        | None
    )
    audit_digests: AuditDigests
    protected_people: ProtectedPeople
    permissions: Permissions
    last_sync_date_time: Annotated[Time | None, Field(description="When the nightly sync last requested its syncs.")]
    canary: CanaryGroup
    first_contact: Annotated[Run | None, Field(description="The newest run of the first-contact check.")]
    first_day: Annotated[
        list[FirstDayStep], Field(description="All steps while one is open; empty once all were done.")
    ]
    hr_limits: Annotated[
        list[str],
        Field(
            description="Profiles and sources that HR cannot use now, or soon cannot use any more.",
            examples=[["profiles name groups that ONBOARDING_GROUPS does not: sales"]],
        ),
    ]


class DeadLetter(Answer):
    id: OperationIdText
    queue: Annotated[str, example("members")]
    kind: DeadLetterKind
    reason: Annotated[str, example("the message is not JSON")]
    created_date_time: Time
    body: Annotated[str, example('{"version": 1}')]
    complete: bool


class DeadLetterPage(Page):
    value: list[DeadLetter]


class BulkAct(Answer):
    """A bulk action on all dead letters that match. `notReplayable`: only the beginning of these messages was kept."""

    id: OperationIdText
    action: BulkKind
    queue: Annotated[str, example("members")]
    kind: Annotated[str, example("givenUp")]
    text: Annotated[str, example("HiddenMembership")]
    since_date_time: Time | None
    until_date_time: Time | None
    initiated_by: Initiator
    claimed_by: ClaimedBy | None
    state: Literal["running", "complete"]
    done: Count
    not_replayable: Count
    created_date_time: Time
    completed_date_time: Time | None


class BulkActs(Page):
    value: list[BulkAct]
