"""Queue trigger of HR onboarding: who starts, moves, or leaves."""

import azure.functions as func

from shared import bootstrap
from shared.domain.messages import ONBOARDING

bp = func.Blueprint()


@bp.function_name("take_hr_event")
@bp.service_bus_queue_trigger(
    arg_name="message", queue_name=ONBOARDING, connection="ServiceBusConnection", cardinality=func.Cardinality.ONE
)
async def take_hr_event(message: func.ServiceBusMessage) -> None:
    await bootstrap.app().take_hr_event(message.get_body(), message.enqueued_time_utc)
