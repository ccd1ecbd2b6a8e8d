"""Answers about the first-contact check."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from functions.web.contract.shapes.common import Answer, Count, OperationIdText, Page, Time, example
from shared.domain.first_contact import Level, RunState, Verdict
from shared.domain.first_contact_assumptions import Tried

Number = Annotated[int, Field(ge=1, examples=[12])]
Question = Annotated[str, example("Can `$deltatoken=latest` have a `$filter`?")]
Position = Annotated[str, example("accepted")]


class Change(Answer):
    """A position that differs from an earlier run."""

    number: Number
    question: Question
    before: Position
    after: Annotated[str, example("rejected")]


class Run(Answer):
    """A run of the check. `step`: the latest step; `fault`: why it ended early or waits."""

    id: OperationIdText
    level: Level
    state: RunState
    step: Annotated[str, example("subscribedSkus")] | None
    requests: Count
    writes: Count
    fault: Annotated[str, example("The test user has licenses.")] | None
    created_date_time: Time
    completed_date_time: Time | None
    changes: list[Change]


class Runs(Page):
    value: list[Run]


class Finding(Answer):
    """The verdict on one assumption. `consequence`: only where the tenant differs."""

    number: Number
    question: Question
    tried_by: Tried
    assumed: list[Position]
    verdict: Verdict
    position: Position | None
    consequence: Annotated[str, example("The app handles this; no setting needs to change.")] | None


class Load(Answer):
    """Results of the writes of a load run. `acceptedAtOnce`: most writes of one request of which none was rejected;
    null seconds: those writes were rejected, or not sent yet."""

    accepted_at_once: Annotated[int, Field(ge=0, le=20, examples=[20])]
    rejected_as_concurrent: Count
    throttled: Count
    seconds_of_one: Annotated[float, Field(ge=0, examples=[0.4])] | None
    seconds_of_twenty: Annotated[float, Field(ge=0, examples=[1.3])] | None


class WholeRun(Run):
    load: Load | None
    findings: list[Finding]


class Observation(Answer):
    """The recordable part of an answer of Graph."""

    status: Annotated[int, Field(ge=0, le=599, examples=[200])]
    code: Annotated[str, example("Request_BadRequest")]
    text: Annotated[str, example("License * does not correspond to a valid company License")]
    headers: dict[str, str]
    shape: dict[str, str]
    traits: dict[str, str]
    seconds: Annotated[float, Field(ge=0, examples=[0.2])]


class Recording(Answer):
    """`positions` by number of the assumption, `observations` by step."""

    version: Annotated[int, Field(ge=1, examples=[1])]
    level: Level
    recorded_on: Annotated[date, example("2026-11-23")]
    positions: dict[str, str]
    observations: dict[str, Observation]
