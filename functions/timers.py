"""Timers: what has to happen although nobody asks."""

import azure.functions as func

from shared import bootstrap

bp = func.Blueprint()


@bp.function_name("keep_subscription")
@bp.timer_trigger(arg_name="timer", schedule="0 */10 * * * *")
async def keep_subscription(timer: func.TimerRequest) -> None:
    await bootstrap.app().keep_subscription()


@bp.function_name("ask_for_deltas")
@bp.timer_trigger(arg_name="timer", schedule="15 */5 * * * *")
async def ask_for_deltas(timer: func.TimerRequest) -> None:
    await bootstrap.app().ask_for_deltas()


@bp.function_name("sync_all")
@bp.timer_trigger(arg_name="timer", schedule="0 0 2 * * *")
async def sync_all(timer: func.TimerRequest) -> None:
    await bootstrap.app().sync_all()


@bp.function_name("read_protected_people")
@bp.timer_trigger(arg_name="timer", schedule="10 */10 * * * *")
async def read_protected_people(timer: func.TimerRequest) -> None:
    await bootstrap.app().read_protected_people()


@bp.function_name("look_at_due")
@bp.timer_trigger(arg_name="timer", schedule="45 * * * * *")
async def look_at_due(timer: func.TimerRequest) -> None:
    await bootstrap.app().look_at_due()


@bp.function_name("take_up_due")
@bp.timer_trigger(arg_name="timer", schedule="20 * * * * *")
async def take_up_due(timer: func.TimerRequest) -> None:
    await bootstrap.app().take_up_due()


@bp.function_name("give_seats")
@bp.timer_trigger(arg_name="timer", schedule="30 * * * * *")
async def give_seats(timer: func.TimerRequest) -> None:
    await bootstrap.app().give_seats()


@bp.function_name("close_audit_hours")
@bp.timer_trigger(arg_name="timer", schedule="40 */10 * * * *")
async def close_audit_hours(timer: func.TimerRequest) -> None:
    await bootstrap.app().close_audit_hours()


@bp.function_name("watchdog")
@bp.timer_trigger(arg_name="timer", schedule="0 */5 * * * *")
async def watchdog(timer: func.TimerRequest) -> None:
    await bootstrap.app().watchdog()
