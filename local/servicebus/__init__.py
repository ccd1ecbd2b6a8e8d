"""A Service Bus emulator: queues in memory that the unmodified azure-servicebus client uses over AMQP 1.0."""
