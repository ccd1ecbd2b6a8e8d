"""The functions of the app as the platform indexes them."""

from __future__ import annotations

from typing import Any

import function_app

FUNCTIONS = {str(each.get_function_name()): each for each in function_app.app.get_functions()}
"""Read once: the library rejects to return the functions of an app twice."""


def trigger(name: str) -> dict[str, Any]:
    """A function's trigger as the host is told."""
    found = FUNCTIONS[name].get_trigger()
    assert found is not None
    return found.get_dict_repr()
