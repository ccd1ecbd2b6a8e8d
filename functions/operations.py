"""Queue triggers of operations: requests of other systems, and the steps of accepted operations."""

import azure.functions as func

from shared import bootstrap
from shared.domain.messages import JOBS, OPERATIONS, OPERATIONS_BULK

bp = func.Blueprint()


@bp.function_name("process_jobs")
@bp.service_bus_queue_trigger(
    arg_name="message", queue_name=JOBS, connection="ServiceBusConnection", cardinality=func.Cardinality.ONE
)
async def process_jobs(message: func.ServiceBusMessage) -> None:
    await bootstrap.app().process_jobs(message.get_body(), message.enqueued_time_utc)


@bp.function_name("process_operations")
@bp.service_bus_queue_trigger(
    arg_name="message", queue_name=OPERATIONS, connection="ServiceBusConnection", cardinality=func.Cardinality.ONE
)
async def process_operations(message: func.ServiceBusMessage) -> None:
    await bootstrap.app().process_operations(OPERATIONS, message.get_body(), message.enqueued_time_utc)


@bp.function_name("process_operations_bulk")
@bp.service_bus_queue_trigger(
    arg_name="message", queue_name=OPERATIONS_BULK, connection="ServiceBusConnection", cardinality=func.Cardinality.ONE
)
async def process_operations_bulk(message: func.ServiceBusMessage) -> None:
    await bootstrap.app().process_operations(OPERATIONS_BULK, message.get_body(), message.enqueued_time_utc)
