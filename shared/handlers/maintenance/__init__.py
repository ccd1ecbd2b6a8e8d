"""Retention and alerts."""
