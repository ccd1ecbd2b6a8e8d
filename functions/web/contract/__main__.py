"""Prints the API's description; `make openapi` keeps it in docs/openapi.json."""

from __future__ import annotations

import json
import sys

from functions.web.application import build, description
from shared.bootstrap import App


def _no_doors() -> App:
    raise RuntimeError("describing the API opens no door")


if __name__ == "__main__":
    json.dump(description(build(_no_doors)), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")
