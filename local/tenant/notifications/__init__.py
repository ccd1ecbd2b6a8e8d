"""Subscriptions to changes, and the delivery of notifications."""
