#!/bin/sh
# Prints a Python that really runs (a pyenv shim may not): 3.11 or newer with venv, or with the argument 313 exactly 3.13.
runs() { "$1" -c "import sys, venv; sys.exit(not ($2))" >/dev/null 2>&1; }

if [ "${1:-}" = 313 ]; then
  test="sys.version_info[:2] == (3, 13)"
  set -- "${PYTHON313:-}" python3.13 python3 "$HOME"/.pyenv/versions/3.13*/bin/python
else
  test="sys.version_info >= (3, 11)"
  set -- python3 python3.12 python3.11 python3.13 python
fi
for python in "$@"; do
  if [ -n "$python" ] && runs "$python" "$test"; then
    echo "$python"
    exit 0
  fi
done
