"""The app's own metadata: functions, triggers, settings in `%NAME%`, host.json.

The rules of the Python worker and of the host apply: exactly one function app at module level, and no built-in route
(learn.microsoft.com/azure/azure-functions/functions-reference-python, .../functions-host-json).
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import azure.functions as func

RESERVED = ("admin", "runtime")
_SETTING = re.compile(r"%([^%]+)%")


class AppError(Exception):
    """The app cannot be run; the text says why."""


@dataclass(frozen=True)
class Function:
    """One function: `kind` is the trigger's binding type, `trigger` its properties, `arg` the trigger's parameter."""

    name: str
    kind: str
    arg: str
    call: Callable[..., Any]
    trigger: Mapping[str, Any]
    takes_context: bool
    has_output: bool

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.call)


@dataclass(frozen=True)
class HostSettings:
    """The part of host.json this host honours."""

    max_concurrent_calls: int = 16
    auto_complete: bool = True
    max_lock_renewal_s: float = 300.0
    route_prefix: str = "api"


def load_functions(app_dir: Path, environment: Mapping[str, str]) -> dict[str, Function]:
    """The app's functions by name. Raises AppError."""
    sys.path.insert(0, str(app_dir))
    module = importlib.import_module("function_app")
    apps = [value for value in vars(module).values() if isinstance(value, func.FunctionRegister)]
    if len(apps) != 1:
        raise AppError(f"function_app.py must have one function app at module level, it has {len(apps)}")
    functions = [_function(each, environment) for each in apps[0].get_functions()]
    found = {function.name: function for function in functions}
    if len(found) != len(functions):
        raise AppError("two functions have the same name")
    return found


def _function(registered: Any, environment: Mapping[str, str]) -> Function:
    trigger = registered.get_trigger()
    if trigger is None:
        raise AppError(f"function {registered.get_function_name()} has no trigger")
    properties = {key: _resolved(value, environment) for key, value in trigger.get_dict_repr().items()}
    route = str(properties.get("route", "")).lstrip("/").lower()
    if trigger.type == "httpTrigger" and route.startswith(RESERVED):
        raise AppError(f"function {registered.get_function_name()}: the route {route!r} conflicts with built-in routes")
    call = registered.get_user_function()
    outputs = [binding for binding in registered.get_bindings() if int(binding.direction or 0) == 1]
    return Function(
        name=registered.get_function_name(),
        kind=trigger.type,
        arg=trigger.name,
        call=call,
        trigger=properties,
        takes_context="context" in inspect.signature(call).parameters,
        has_output=any(binding.type == "http" or binding.name == "$return" for binding in outputs),
    )


def _resolved(value: Any, environment: Mapping[str, str]) -> Any:
    if not isinstance(value, str):
        return value

    def setting(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise AppError(f"the setting {match[1]} is used in a binding and is not set")
        return environment[match[1]]

    return _SETTING.sub(setting, value)


def load_host(app_dir: Path) -> HostSettings:
    """host.json. Raises AppError when it is not there or not JSON."""
    try:
        document = json.loads((app_dir / "host.json").read_text())
    except (OSError, ValueError) as fault:
        raise AppError(f"host.json: {fault}") from fault
    extensions = document.get("extensions", {})
    bus = extensions.get("serviceBus", {})
    hours, minutes, seconds = str(bus.get("maxAutoLockRenewalDuration", "00:05:00")).split(":")
    return HostSettings(
        max_concurrent_calls=int(bus.get("maxConcurrentCalls", 16)),
        auto_complete=bool(bus.get("autoCompleteMessages", True)),
        max_lock_renewal_s=int(hours) * 3600 + int(minutes) * 60 + float(seconds),
        route_prefix=str(extensions.get("http", {}).get("routePrefix", "api")),
    )
