"""An app for tests of the function host: HTTP native and ASGI, a queue function that can raise, and a timer."""

import json
import os
from pathlib import Path

import azure.functions as func
from fastapi import FastAPI, Request

NOTES = Path(os.environ.get("SAMPLE_NOTES", os.devnull))

web = FastAPI()
asgi = func.AsgiMiddleware(web)  # type: ignore[no-untyped-call]
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def note(text: str) -> None:
    with NOTES.open("a") as notes:
        notes.write(f"{os.getpid()} {text}\n")


@web.get("/echo/{rest:path}")
async def echo(request: Request, rest: str) -> dict[str, object]:
    return {"rest": rest, "headers": dict(request.headers), "query": dict(request.query_params)}


@app.route(route="api/health", methods=["GET"])
async def health(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps({"status": "ok"}), mimetype="application/json")


@app.route(route="api/broken", methods=["GET", "POST"])
async def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("told to")


@app.route(route="{*route}", methods=["GET", "POST"])
async def pages(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    response: func.HttpResponse = await asgi.handle_async(req, context)
    return response


@app.service_bus_queue_trigger(arg_name="message", queue_name="%SAMPLE_QUEUE%", connection="ServiceBusConnection")
async def work(message: func.ServiceBusMessage) -> None:
    body = message.get_body().decode()
    note(f"{body} {message.delivery_count}")
    if body == "bad":
        raise RuntimeError("told to")


@app.timer_trigger(arg_name="timer", schedule="0 0 3 1 1 *", run_on_startup=False)
async def nightly(timer: func.TimerRequest) -> None:
    note("timer")
