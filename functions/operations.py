"""Queue triggers of operations: requests of other systems, and the steps of what was accepted."""

import azure.functions as func

from shared import bootstrap
from shared.domain.messages import JOBS, OPERATIONS, OPERATIONS_BULK

bp = func.Blueprint()


@bp.function_name("run_job")
@bp.service_bus_queue_trigger(
    arg_name="message", queue_name=JOBS, connection="ServiceBusConnection", cardinality=func.Cardinality.ONE
)
async def run_job(message: func.ServiceBusMessage) -> None:
    await bootstrap.app().run_job(message.get_body(), message.enqueued_time_utc)


@bp.function_name("take_step")
@bp.service_bus_queue_trigger(
    arg_name="message", queue_name=OPERATIONS, connection="ServiceBusConnection", cardinality=func.Cardinality.ONE
)
async def take_step(message: func.ServiceBusMessage) -> None:
    await bootstrap.app().take_step(OPERATIONS, message.get_body(), message.enqueued_time_utc)


@bp.function_name("take_step_bulk")
@bp.service_bus_queue_trigger(
    arg_name="message", queue_name=OPERATIONS_BULK, connection="ServiceBusConnection", cardinality=func.Cardinality.ONE
)
async def take_step_bulk(message: func.ServiceBusMessage) -> None:
    await bootstrap.app().take_step(OPERATIONS_BULK, message.get_body(), message.enqueued_time_utc)
