"""What forms of the page send: urlencoded, small, read without another library."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends
from starlette.requests import Request

from functions.web.errors import HttpError
from functions.web.requests import guid
from shared.domain.errors import Outdated
from shared.handlers.views.license_center import MAX_SEARCH

MAX_FIELDS = 2000


class Form:
    """Fields of a form; several values under one name are kept in order."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self._fields = fields

    def one(self, name: str) -> str:
        """The value of a field that must be there once. Raises HttpError."""
        values = self._fields.get(name, [])
        if len(values) != 1 or not values[0].strip():
            raise HttpError(400, "InvalidRequest", f"{name} is missing.", name)
        return values[0].strip()

    def get(self, name: str, default: str = "") -> str:
        return self._fields.get(name, [default])[0].strip()

    def short(self, name: str) -> str:
        """A text that is searched for; empty if it is not there. Raises HttpError for one that is too long."""
        text = self.get(name)
        if len(text) > MAX_SEARCH:
            raise HttpError(400, "InvalidRequest", f"{name} has more than {MAX_SEARCH} characters.", name)
        return text

    def all(self, name: str) -> list[str]:
        return self._fields.get(name, [])

    def has(self, name: str) -> bool:
        return name in self._fields


async def _form(request: Request) -> Form:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HttpError(415, "UnsupportedMediaType", "A form is sent as application/x-www-form-urlencoded.")
    try:
        text = (await request.body()).decode()
        return Form(parse_qs(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except (UnicodeDecodeError, ValueError) as fault:
        raise HttpError(400, "InvalidRequest", "The form cannot be read.") from fault


TheForm = Annotated[Form, Depends(_form)]


def must_name_people(form: Form, checksum: str, people: int) -> None:
    """Check the confirmation of a list: its checksum, and how many people lose something; if none does, it names
    nothing. Raises Outdated for another list, whose number is another too, and HttpError for a wrong number."""
    if checksum and form.one("checksum") != checksum:
        raise Outdated("The list has changed. Read it again.")
    entered = re.sub(r"[\s.,]", "", form.get("people"))
    if people and entered != str(people):
        text = f"Enter the number of people who lose something, which is {people}, to confirm the removal."
        raise HttpError(400, "NumberOfPeople", text, "people")


def guid_of(text: str, name: str) -> str:
    """The GUID that a field holds, in lower case. Raises HttpError that names the field."""
    try:
        return guid(text)
    except ValueError as fault:
        raise HttpError(400, "InvalidRequest", f"{name} {fault}", name) from fault
