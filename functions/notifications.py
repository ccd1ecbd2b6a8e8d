"""Change notifications: two addresses that Graph posts to, which import nothing heavy, and the queue behind them."""

import azure.functions as func

from shared import bootstrap
from shared.domain.messages import NOTIFICATIONS

bp = func.Blueprint()

PLAIN = {
    "Content-Type": "text/plain; charset=utf-8",
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000",
}


@bp.function_name("graph_notifications")
@bp.route(route="graph/notifications", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def graph_notifications(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return await _answer(req, context)


@bp.function_name("graph_lifecycle")
@bp.route(route="graph/lifecycle", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def graph_lifecycle(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return await _answer(req, context)


async def _answer(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    token, trace = req.params.get("validationToken"), context.trace_context
    reply = await bootstrap.app().notification(req.get_body(), token, trace)
    return func.HttpResponse(reply.body, status_code=reply.status, headers=PLAIN)


@bp.function_name("process_notifications")
@bp.service_bus_queue_trigger(
    arg_name="message", queue_name=NOTIFICATIONS, connection="ServiceBusConnection", cardinality=func.Cardinality.ONE
)
async def process_notifications(message: func.ServiceBusMessage) -> None:
    await bootstrap.app().process_notifications(message.get_body(), message.enqueued_time_utc)
