"""The control API under /_tenant/, by which tests build, read and disturb the tenant."""
