"""A plugin of pytest: the client speaks plain TCP to the emulator, as with UseDevelopmentEmulator=true."""

from __future__ import annotations

import functools
from importlib import import_module
from typing import Any

from azure.servicebus import ServiceBusClient
from azure.servicebus.aio import ServiceBusClient as AsyncServiceBusClient

for name in ("devtools_testutils", "servicebus_preparer"):
    import_module(name)  # before the distribution's folder, which has one too, comes first on the path


def _plainly(client: Any) -> None:
    made = client.__init__

    @functools.wraps(made)
    def make(self: Any, *args: Any, **options: Any) -> None:
        options.setdefault("use_tls", False)
        made(self, *args, **options)

    client.__init__ = make


_plainly(ServiceBusClient)
_plainly(AsyncServiceBusClient)
