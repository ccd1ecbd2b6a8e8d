"""AMQP 1.0 (docs.oasis-open.org/amqp/core/v1.0): the types and frames a server of this client needs, and no more."""
