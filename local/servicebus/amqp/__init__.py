"""A small AMQP 1.0 server engine: types and codec, frames, connections with their sessions and links."""
