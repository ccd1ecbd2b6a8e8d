"""Timers: what has to happen although nobody asks."""

import azure.functions as func

from shared import bootstrap

bp = func.Blueprint()


@bp.function_name("give_seats")
@bp.timer_trigger(arg_name="timer", schedule="30 * * * * *")
async def give_seats(timer: func.TimerRequest) -> None:
    await bootstrap.app().give_seats()


@bp.function_name("watchdog")
@bp.timer_trigger(arg_name="timer", schedule="0 */5 * * * *")
async def watchdog(timer: func.TimerRequest) -> None:
    await bootstrap.app().watchdog()
