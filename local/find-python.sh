#!/bin/sh
# Prints a Python that really runs (a pyenv shim may not): 3.11 or newer with venv, or with an argument like 3.13 exactly that.
runs() { "$1" -c "import sys, venv; sys.exit(not ($2))" >/dev/null 2>&1; }

if [ -n "${1:-}" ]; then
  test="'%d.%d' % sys.version_info[:2] == '$1'"
  set -- "${PYTHON313:-}" "python$1" python3 python "$HOME/.pyenv/versions/$1".*/bin/python
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
