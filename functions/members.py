"""Queue triggers of members: changes that a person waits for, and chunks of big operations, each in its own lane."""

import azure.functions as func

from shared import bootstrap
from shared.domain.messages import MEMBERS, MEMBERS_BULK

bp = func.Blueprint()


@bp.function_name("process_members")
@bp.service_bus_queue_trigger(
    arg_name="message", queue_name=MEMBERS, connection="ServiceBusConnection", cardinality=func.Cardinality.ONE
)
async def process_members(message: func.ServiceBusMessage) -> None:
    await bootstrap.app().process_members(MEMBERS, message.get_body(), message.enqueued_time_utc)


@bp.function_name("process_members_bulk")
@bp.service_bus_queue_trigger(
    arg_name="message", queue_name=MEMBERS_BULK, connection="ServiceBusConnection", cardinality=func.Cardinality.ONE
)
async def process_members_bulk(message: func.ServiceBusMessage) -> None:
    await bootstrap.app().process_members(MEMBERS_BULK, message.get_body(), message.enqueued_time_utc)
