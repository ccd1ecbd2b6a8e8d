"""How licenses are given and taken: the rules, and Microsoft's group-based licensing."""
