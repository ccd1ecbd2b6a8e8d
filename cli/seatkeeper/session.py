"""One call of the program: its options, the client, the output, and questions to the person."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from seatkeeper.errors import CliError
from seatkeeper.output import Output
from seatkeeper.surroundings import Surroundings

if TYPE_CHECKING:
    from seatkeeper.client import Client
    from seatkeeper.names import Names
    from seatkeeper.sign_in import SignIn


@dataclass
class Options:
    """Options of all commands."""

    url: str = ""
    local: bool = False
    role: str = ""
    yes: bool = False
    wait: bool = True


@dataclass
class Session:
    surroundings: Surroundings
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        self.output = Output(self.surroundings)

    @cached_property
    def signed_in(self) -> SignIn:
        from seatkeeper.sign_in import sign_in

        return sign_in(self.surroundings, self.options.url, local=self.options.local, role=self.options.role)

    @cached_property
    def client(self) -> Client:
        from seatkeeper.client import Client

        found = self.signed_in
        around = self.surroundings

        def waiting(seconds: float) -> None:
            if around.has_person:
                self.output.note(f"The app asks to wait {seconds:.0f} s.")

        return Client(found.base, found.headers, around.sleep, around.transport, waiting)

    @cached_property
    def names(self) -> Names:
        from seatkeeper.names import Names

        return Names(self.client)

    def command(self, arguments: str) -> str:
        """A command to run next, which reaches the same app."""
        role = f" --as '{self.options.role}'" if self.options.role else ""
        url = f" --url {self.options.url}" if self.options.url else ""
        return f"seatkeeper {arguments}{' --local' if self.options.local else ''}{role}{url}"

    def confirm(self, question: str) -> None:
        """Ask before something is written. Raises CliError without a yes; without a terminal, `--yes` is needed."""
        if self.options.yes:
            return
        if not self.surroundings.has_person:
            raise CliError(
                "This changes something, and there is no terminal to ask on. Nothing was done.",
                "Add --yes to confirm.",
                "ConfirmationNeeded",
            )
        self.surroundings.err.write(f"{question} [y/N] ")
        self.surroundings.err.flush()
        answer = self.surroundings.answers.readline().strip().lower()
        if answer not in ("y", "yes"):
            raise CliError("Nothing was done.", "", "NotConfirmed")
