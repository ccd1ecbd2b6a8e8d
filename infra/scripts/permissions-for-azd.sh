#!/usr/bin/env bash
# Keeps the order provision, grant, deploy. The hooks of azure.yaml run it: `grant` after `azd provision`, `check` before
# `azd deploy`. azd passes the values of its environment as variables (learn.microsoft.com/azure/developer/azure-developer-cli/azd-extensibility).
#
# A managed identity's token is cached for about a day, and a restart does not renew it. Code that starts before the grant
# would work without its permissions for that time. So `check` ends azd before the first code is deployed.
#
# IDENTITY_PRINCIPAL_ID: set by provisioning. GRAPH_FEATURES: features for --with, separated by spaces or commas.
# GRAPH_READ_ONLY=true: --read-only. PERMISSIONS_GRANTED=true: another person has granted them, so nothing is checked.
set -euo pipefail

GRANT="$(dirname "${BASH_SOURCE[0]}")/grant-graph-permissions.sh"

options() {
  local feature
  [[ ${GRAPH_READ_ONLY:-false} != true ]] || printf '%s\n' --read-only
  for feature in ${GRAPH_FEATURES//,/ }; do printf '%s\n' --with "$feature"; done
}

advise() {
  {
    echo "The app's identity lacks permissions of Microsoft Graph, or they cannot be read."
    echo "A Privileged Role Administrator runs, signed in with az login:"
    echo "  infra/scripts/grant-graph-permissions.sh${OPTIONS[*]:+ ${OPTIONS[*]}} $IDENTITY_PRINCIPAL_ID"
    echo "Then run azd deploy. If you cannot read grants yourself: azd env set PERMISSIONS_GRANTED true"
  } >&2
}

# Missing permissions, one a line. Excess ones are no reason to stop. Fails if the tenant cannot be read.
missing() {
  local found status=0
  found=$("$GRANT" --check "${OPTIONS[@]}" "$IDENTITY_PRINCIPAL_ID") || status=$?
  ((status < 2)) || return "$status"
  # A check that broke off has printed no permission at all.
  grep -qE '^(granted|missing) ' <<<"$found" || return 2
  awk '$1 == "missing" { print $2 }' <<<"$found"
}

main() {
  local lacks
  [[ ${1:-} == grant || ${1:-} == check ]] || {
    echo "usage: permissions-for-azd.sh grant | check" >&2
    exit 2
  }
  [[ -n ${IDENTITY_PRINCIPAL_ID:-} ]] || {
    echo "IDENTITY_PRINCIPAL_ID is not set: run azd provision first" >&2
    exit 2
  }
  GRAPH_FEATURES=${GRAPH_FEATURES:-}
  mapfile -t OPTIONS < <(options)
  [[ ${PERMISSIONS_GRANTED:-false} != true ]] || exit 0
  if ! lacks=$(missing); then
    advise
    exit 1
  fi
  [[ -n $lacks ]] || exit 0
  if [[ $1 == check ]] || ! "$GRANT" "${OPTIONS[@]}" "$IDENTITY_PRINCIPAL_ID"; then
    advise
    exit 1
  fi
}

main "$@"
