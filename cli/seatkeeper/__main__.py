"""The program `seatkeeper`."""

from __future__ import annotations

import os
import sys

from seatkeeper.surroundings import Surroundings


def main() -> None:
    from seatkeeper.app import run

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a name that the terminal cannot show must not end the program
    try:
        code = run(sys.argv[1:], Surroundings())
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
