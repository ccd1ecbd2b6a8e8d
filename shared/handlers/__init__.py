"""One module per trigger noun: ports in, values out; no SDK, no environment, no clock of its own."""
