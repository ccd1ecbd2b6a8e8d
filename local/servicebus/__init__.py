"""A Service Bus emulator in pure Python: queues that the unmodified azure-servicebus client talks to over AMQP 1.0."""
