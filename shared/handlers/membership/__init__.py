"""Group membership changes: the webhook, its queue, the subscription, delta queries, the nightly sync."""
