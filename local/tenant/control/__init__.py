"""The control API under /_tenant/, by which tests build, look at and disturb the tenant."""
