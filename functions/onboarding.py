"""Queue trigger of HR onboarding: joiner, mover and leaver events."""

import azure.functions as func

from shared import bootstrap
from shared.domain.messages import ONBOARDING

bp = func.Blueprint()


@bp.function_name("process_hr_events")
@bp.service_bus_queue_trigger(
    arg_name="message", queue_name=ONBOARDING, connection="ServiceBusConnection", cardinality=func.Cardinality.ONE
)
async def process_hr_events(message: func.ServiceBusMessage) -> None:
    await bootstrap.app().process_hr_events(message.get_body(), message.enqueued_time_utc)
