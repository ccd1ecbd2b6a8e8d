"""Timers: work without a request."""

import azure.functions as func

from shared import bootstrap

bp = func.Blueprint()


@bp.function_name("renew_subscription")
@bp.timer_trigger(arg_name="timer", schedule="0 */10 * * * *")
async def renew_subscription(timer: func.TimerRequest) -> None:
    await bootstrap.app().renew_subscription()


@bp.function_name("query_deltas")
@bp.timer_trigger(arg_name="timer", schedule="15 */5 * * * *")
async def query_deltas(timer: func.TimerRequest) -> None:
    await bootstrap.app().query_deltas()


@bp.function_name("sync_all")
@bp.timer_trigger(arg_name="timer", schedule="0 0 2 * * *")
async def sync_all(timer: func.TimerRequest) -> None:
    await bootstrap.app().sync_all()


@bp.function_name("watch_errors")
@bp.timer_trigger(arg_name="timer", schedule="50 25 * * * *")
async def watch_errors(timer: func.TimerRequest) -> None:
    await bootstrap.app().watch_errors()


@bp.function_name("read_protected_people")
@bp.timer_trigger(arg_name="timer", schedule="10 */10 * * * *")
async def read_protected_people(timer: func.TimerRequest) -> None:
    await bootstrap.app().read_protected_people()


@bp.function_name("reconcile_due_users")
@bp.timer_trigger(arg_name="timer", schedule="45 * * * * *")
async def reconcile_due_users(timer: func.TimerRequest) -> None:
    await bootstrap.app().reconcile_due_users()


@bp.function_name("resume_due_events")
@bp.timer_trigger(arg_name="timer", schedule="20 * * * * *")
async def resume_due_events(timer: func.TimerRequest) -> None:
    await bootstrap.app().resume_due_events()


@bp.function_name("assign_freed_licenses")
@bp.timer_trigger(arg_name="timer", schedule="30 * * * * *")
async def assign_freed_licenses(timer: func.TimerRequest) -> None:
    await bootstrap.app().assign_freed_licenses()


@bp.function_name("close_audit_hours")
@bp.timer_trigger(arg_name="timer", schedule="40 */10 * * * *")
async def close_audit_hours(timer: func.TimerRequest) -> None:
    await bootstrap.app().close_audit_hours()


@bp.function_name("start_first_contact")
@bp.timer_trigger(arg_name="timer", schedule="0 30 3 * * *")
async def start_first_contact(timer: func.TimerRequest) -> None:
    await bootstrap.app().start_first_contact()


@bp.function_name("continue_first_contact")
@bp.timer_trigger(arg_name="timer", schedule="5 * * * * *")
async def continue_first_contact(timer: func.TimerRequest) -> None:
    await bootstrap.app().continue_first_contact()


@bp.function_name("watchdog")
@bp.timer_trigger(arg_name="timer", schedule="0 */5 * * * *")
async def watchdog(timer: func.TimerRequest) -> None:
    await bootstrap.app().watchdog()
