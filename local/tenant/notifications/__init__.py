"""Subscriptions to changes, and the delivery of what they tell."""
