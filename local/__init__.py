"""The one-machine stack: simulated tenant, Service Bus emulator, function host, and what starts them."""
