"""HTTP triggers: health, which imports nothing heavy, and one door to everything else.

The web framework is imported on the first request that needs it, so that queue workers never pay for it.
"""

import json
from functools import lru_cache

import azure.functions as func

from shared.domain.version import VERSION

bp = func.Blueprint()

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
HEALTHY = json.dumps({"status": "ok", "version": VERSION})


@bp.function_name("health")
@bp.route(route="api/health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    headers = {"Strict-Transport-Security": "max-age=31536000"}
    return func.HttpResponse(HEALTHY, mimetype="application/json", headers=headers)


@bp.function_name("http")
@bp.route(route="{*route}", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
async def http(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    answer: func.HttpResponse = await web().handle_async(req, context)
    return answer


@lru_cache(maxsize=1)
def web() -> func.AsgiMiddleware:
    """The web application behind Azure's adapter, made once per process."""
    from functions.web.application import build
    from shared import bootstrap

    return func.AsgiMiddleware(build(bootstrap.app))
