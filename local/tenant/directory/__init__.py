"""Users, groups and products in memory, their changes and their recent past."""
