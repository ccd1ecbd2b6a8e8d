"""Operations as every command handles them: shown, confirmed, followed to their end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seatkeeper import fields as f
from seatkeeper import routes
from seatkeeper.errors import CHANGES, ERROR, OK, WAITS, ApiError
from seatkeeper.output import counted
from seatkeeper.routes import Route
from seatkeeper.session import Session

FIRST_PAUSE_S, MOST_PAUSE_S = 0.5, 5.0

Operation = Mapping[str, Any]


def exit_code(operation: Operation) -> int:
    """The exit code for the state of an operation."""
    match operation[f.STATE]:
        case f.COMPLETE:
            return ERROR if operation[f.TOTALS]["failed"] and not operation[f.PREVIEW] else OK
        case f.AWAITING:
            return WAITS
        case f.CANCELLED | f.FAILED:
            return ERROR
        case _:
            return OK


def follow(session: Session, operation: Operation, *, quiet: bool = False) -> Operation:
    """Wait until an operation has ended or waits for an approval. A terminal shows a progress bar."""
    if not session.options.wait:
        return operation
    if quiet or not session.output.is_table or not session.surroundings.err.isatty():
        return _polled(session, operation, lambda found: None)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=session.output.console(err=True), transient=True) as bar:
        task = bar.add_task(_words(operation), total=None)

        def show(found: Operation) -> None:
            totals = found[f.TOTALS]
            members = totals[f.MEMBERS] or None
            done = (members or 0) - totals["remaining"]
            bar.update(task, description=_words(found), total=members, completed=done)

        return _polled(session, operation, show)


def _words(operation: Operation) -> str:
    return {"QueuedForProcessing": "Waiting to start", f.PAUSED: "Paused"}.get(
        operation[f.STATE], "Planning" if operation[f.PREVIEW] else "Processing"
    )


def _polled(session: Session, operation: Operation, show: Any) -> Operation:
    pause = FIRST_PAUSE_S
    while operation[f.STATE] not in f.ENDED and operation[f.STATE] != f.AWAITING:
        session.surroundings.sleep(pause)
        pause = min(MOST_PAUSE_S, pause * 1.4)
        operation = session.client.ask(routes.OPERATION, operation[f.ID])
        show(operation)
    return operation


def show(session: Session, operation: Operation) -> int:
    """Show an operation. Returns its exit code."""
    session.output.one(operation, lambda: _lines(session, operation))
    return exit_code(operation)


def target_of(session: Session, operation: Operation) -> str:
    """The group or the users of an operation."""
    target = operation[f.TARGET]
    if f.GROUP_ID in target:
        return session.names.group_label(target[f.GROUP_ID])
    count = int(target["userIds"])
    return counted(count, "user")


def _lines(session: Session, operation: Operation) -> None:
    names, totals = session.names, operation[f.TOTALS]
    error = operation.get(f.ERROR) or {}
    session.output.pairs(
        [
            ("Operation", operation[f.ID]),
            ("Kind", operation[f.KIND] + (" (preview)" if operation[f.PREVIEW] else "")),
            ("Target", target_of(session, operation)),
            ("Add", [names.product_label(each[f.SKU_ID]) for each in operation[f.ADD]]),
            (
                "Stop assigning" if operation[f.KEEP] else "Remove",
                [names.product_label(each) for each in operation[f.REMOVE]],
            ),
            ("State", operation[f.STATE]),
            ("Reason", operation.get(f.REASON)),
            ("Requested by", operation[f.INITIATED_BY][f.DISPLAY_NAME]),
            ("Created", operation[f.CREATED]),
            ("Completed", operation[f.COMPLETED]),
            ("Estimated end", operation[f.ESTIMATED]),
            ("Users", totals[f.MEMBERS]),
            ("Results", "" if operation[f.PREVIEW] else _results(totals)),
            ("Error", error.get(f.MESSAGE)),
            ("Remedy", error.get(f.REMEDY)),
            ("Superseded by", operation.get("supersededBy")),
            ("Checksum", operation[f.CHECKSUM] if operation[f.STATE] == f.AWAITING or operation[f.PREVIEW] else None),
        ]
    )
    if operation[f.PREVIEW] or operation[f.STATE] == f.AWAITING:
        plan_lines(session, operation)


def _results(totals: Mapping[str, int]) -> str:
    named = ("applied", "unchanged", "waiting", "failed", "skipped", "remaining")
    return ", ".join(f"{totals[name]:,} {name}" for name in named if totals[name])


def plan_lines(session: Session, operation: Operation) -> None:
    """The plan of an operation, in numbers."""
    names, plan, output = session.names, operation[f.PLAN], session.output
    lines = [f"+{count:,} {names.product_label(sku)}" for sku, count in plan[f.ADDITIONS].items()]
    lines += [f"-{count:,} {names.product_label(sku)}" for sku, count in plan[f.REMOVALS].items()]
    if plan[f.PLANS_OFF]:
        lines.append(f"{plan[f.PLANS_OFF]:,} licenses in which apps are turned off")
    if plan[f.USAGE_LOCATIONS]:
        lines.append(f"{plan[f.USAGE_LOCATIONS]:,} usage locations to set")
    lines += [f"{count:,} would fail: {error}" for error, count in plan[f.EXPECTED_ERRORS].items()]
    for sku, needed in plan[f.SEATS_NEEDED].items():
        short = needed - plan[f.SEATS_AVAILABLE].get(sku, 0)
        if short > 0:
            lines.append(f"{names.product_label(sku)} is short by {counted(short, 'license')} ({needed:,} needed)")
    if operation[f.KEEP]:
        lines.append(f"{counted(plan[f.KEEPING], 'member', 'keeps', 'keep')} the licenses")
    if plan[f.LOSING]:
        lines.append(f"{plan[f.LOSING]:,} people would lose a license or an app")
    output.say()
    for line in lines or ["No license changes."]:
        output.say(line)
    for warning in plan[f.WARNINGS]:
        output.say(f"Warning: {warning}")


def is_change(operation: Operation) -> bool:
    """Whether a preview found anything to do."""
    return bool(operation[f.TOTALS]["due"])


def change(session: Session, route: Route, ids: tuple[str, ...], body: Mapping[str, Any], *, only_preview: bool) -> int:
    """Preview a change, show its plan, ask, and carry it out. Returns the exit code."""
    asked = session.client.ask(route, *ids, body=body, query={f.PREVIEW: True})
    waited, session.options.wait = session.options.wait, True
    preview = follow(session, asked)
    session.options.wait = waited
    if preview[f.STATE] != f.COMPLETE:
        return show(session, preview)
    if only_preview or not (session.options.yes or session.surroundings.has_person):
        show(session, preview)
        if not only_preview:
            session.output.note("Nothing was done. Add --yes, or confirm the preview.")
        if f.GROUP_ID in preview[f.TARGET]:
            session.output.note(f"Next: {session.command(f'operation confirm {preview[f.ID]} --yes')}")
        return CHANGES
    if session.output.is_table:
        show(session, preview)
    session.confirm("Carry this out?")
    return carry_out(session, route, ids, body, preview)


def carry_out(session: Session, route: Route, ids: tuple[str, ...], body: Mapping[str, Any], preview: Operation) -> int:
    """Start the change of a preview that was read, follow it, and show its end."""
    started = start(session, route, ids, body, preview)
    return show(session, follow(session, started))


def start(
    session: Session,
    route: Route,
    ids: tuple[str, ...],
    body: Mapping[str, Any],
    preview: Operation,
    headers: Mapping[str, str] | None = None,
) -> Operation:
    """Start the change of a preview. A caller that cannot approve removals starts it without; then it waits for an
    approval."""
    given = {**(headers or {})}
    assigns = f.ADD in body
    if assigns and f.GROUP_ID in preview[f.TARGET]:
        given.setdefault("if-match", etag(preview[f.INTENT_VERSION]))
    approved = {f.APPROVED_PREVIEW: {f.ID: preview[f.ID], f.CHECKSUM: preview[f.CHECKSUM]}}
    try:
        found: Operation = session.client.ask(
            route, *ids, body={**body, **(approved if assigns and preview[f.PLAN][f.LOSING] else {})}, headers=given
        )
    except ApiError as fault:
        if fault.status != 403 or not (assigns and preview[f.PLAN][f.LOSING]):
            raise
        found = session.client.ask(route, *ids, body=body, headers=given)
    return found


def etag(version: int) -> str:
    """The ETag of a version of a group's assignment."""
    return f'W/"{version}"'


def summary(operation: Operation) -> str:
    """The end of an operation in a line."""
    return f"{operation[f.STATE]}: {_results(operation[f.TOTALS]) or 'no users'}"
