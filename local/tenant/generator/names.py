"""Made-up names and ids for generated objects."""

from __future__ import annotations

import random

FIRST_NAMES = (
    "Ada", "Anton", "Berta", "Cem", "Dana", "Emil", "Elif", "Finn", "Greta", "Hugo", "Ida", "Jan", "Kaya", "Lea",
    "Malik", "Mira", "Nils", "Nora", "Ole", "Paula", "Rosa", "Sami", "Tara", "Uwe", "Vera", "Wim", "Yara", "Zoe",
)  # fmt: skip

LAST_NAMES = (
    "Albers", "Berg", "Celik", "Dorn", "Ernst", "Fuchs", "Graf", "Haas", "Ilic", "Jung", "Kern", "Lang", "Maier",
    "Novak", "Otto", "Peters", "Quast", "Roth", "Sommer", "Thiel", "Ulrich", "Vogel", "Weiss", "Yilmaz", "Zander",
)  # fmt: skip

DEPARTMENTS = ("Sales", "Finance", "Production", "Human Resources", "IT", "Legal", "Logistics")

JOB_TITLES = ("Assistant", "Clerk", "Engineer", "Manager", "Specialist")


def new_id(chance: random.Random) -> str:
    """A random GUID of version 4 from the seed."""
    number = chance.getrandbits(128) & ~(0xF << 76) & ~(0x3 << 62) | (4 << 76) | (2 << 62)
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
