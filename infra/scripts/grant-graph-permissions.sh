#!/usr/bin/env bash
# Grants the app's managed identity the Graph application permissions that it needs, and prints the reason for each.
#
# The person who runs it needs Privileged Role Administrator (or Global Administrator), signed in with `az login`.
# Running it again changes nothing. Granted permissions that permissions.tsv does not name are listed and not changed.
set -euo pipefail
shopt -s inherit_errexit

GRAPH=https://graph.microsoft.com/v1.0
GRAPH_APP_ID=00000003-0000-0000-c000-000000000000
TABLE="$(dirname "${BASH_SOURCE[0]}")/permissions.tsv"

usage() {
  cat <<TEXT
usage: grant-graph-permissions.sh [--read-only] [--with FEATURE]... [--check | --revoke | --dry-run] PRINCIPAL_ID

PRINCIPAL_ID      object id of the managed identity: azd env get-value IDENTITY_PRINCIPAL_ID
--with FEATURE    a feature that is used: usage-location, hidden-groups,
                  protected-people, administrative-units, onboarding; may be given
                  several times
--read-only       only permissions to read: the app watches groups and shows previews, and
                  says that it cannot write
--check           change nothing; exit 1 where a permission is missing, or granted without being needed
--revoke          revoke every permission that the table names, for all features
--dry-run         change nothing and print the permissions that would be granted; without the Azure CLI, print
                  those that are needed
TEXT
}

fail() {
  echo "$*" >&2
  exit 2
}

# Every line of the table without comments: feature, permission, reason, separated by tabs.
table() {
  grep -v '^#' "$TABLE"
}

parse() {
  MODE=grant
  FEATURES=(always)
  READ_ONLY=''
  PRINCIPAL=''
  while (($#)); do
    case $1 in
      --check) MODE=check ;;
      --read-only) READ_ONLY=1 ;;
      --revoke) MODE=revoke ;;
      --dry-run) MODE=dry-run ;;
      --with)
        shift
        table | cut -f1 | grep -xF -- "${1:-}" >/dev/null || fail "unknown feature: ${1:-(none)}"
        FEATURES+=("$1")
        ;;
      -h | --help)
        usage
        exit 0
        ;;
      -*) fail "unknown option: $1" ;;
      *)
        [[ -z $PRINCIPAL ]] || fail "one PRINCIPAL_ID only, got $PRINCIPAL and $1"
        PRINCIPAL=$1
        ;;
    esac
    shift
  done
  if [[ -n $READ_ONLY ]]; then
    local feature permission
    while IFS=$'\t' read -r feature permission _; do
      if [[ $feature != always && $permission == *ReadWrite* && " ${FEATURES[*]} " == *" $feature "* ]]; then
        fail "--with $feature needs $permission, which is no permission to read"
      fi
    done < <(table)
  fi
  [[ $PRINCIPAL =~ ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$ ]] || {
    usage >&2
    fail "PRINCIPAL_ID must be a GUID, not '${PRINCIPAL}'"
  }
}

# Whether a permission of the table is wanted in this run, by its feature.
wanted() {
  [[ -z $READ_ONLY || $2 != *ReadWrite* ]] || return 1
  printf '%s\n' "${FEATURES[@]}" | grep -xF -- "$1" >/dev/null
}

# Graph's own service principal in this tenant, and its permissions: SERVICE, and "name<TAB>id" lines in ROLES.
read_graph() {
  local of="$GRAPH/servicePrincipals(appId='$GRAPH_APP_ID')?\$select=id,appRoles"
  SERVICE=$(az rest --method get --url "$of" --query id -o tsv)
  ROLES=$(az rest --method get --url "$of" \
    --query "appRoles[?contains(allowedMemberTypes, 'Application')].[value, id]" -o tsv)
  [[ -n $SERVICE && -n $ROLES ]] || fail "Microsoft Graph's service principal could not be read in this tenant"
}

# The identity's Graph permissions: "permission id<TAB>id of the grant" lines in GRANTED. A partial list is rejected.
read_granted() {
  local of="$GRAPH/servicePrincipals/$PRINCIPAL/appRoleAssignments?\$top=999" more
  more=$(az rest --method get --url "$of" --query '"@odata.nextLink"' -o tsv)
  [[ -z $more || $more == None ]] || fail "the identity has more than one page of grants: this is not the app's identity"
  GRANTED=$(az rest --method get --url "$of" --query "value[?resourceId=='$SERVICE'].[appRoleId, id]" -o tsv)
}

role_id() {
  awk -F'\t' -v name="$1" '$1 == name { print $2 }' <<<"$ROLES"
}

grant_id() {
  awk -F'\t' -v role="$1" '$1 == role { print $2 }' <<<"$GRANTED"
}

# One permission of the table, in the chosen mode. Sets FAULT if --check finds something.
settle() {
  local feature=$1 permission=$2 reason=$3 role grant state
  role=$(role_id "$permission")
  if [[ -z $role ]]; then
    if wanted "$feature" "$permission" && [[ $MODE != revoke ]]; then
      fail "this tenant's Graph knows no application permission $permission"
    fi
    return
  fi
  grant=$(grant_id "$role")
  state=$(act "$feature" "$permission" "$role" "$grant")
  if [[ -n $state ]]; then
    printf '%-12s %-32s %s\n' "$state" "$permission" "$reason"
    [[ $MODE == check && $state != granted ]] && FAULT=1
  fi
  return 0
}

# Does what the mode requires for one permission and prints one word; prints nothing if the permission does not matter.
act() {
  local feature=$1 permission=$2 role=$3 grant=$4
  if [[ $MODE == revoke ]]; then
    if [[ -n $grant ]]; then
      az rest --method delete --url "$GRAPH/servicePrincipals/$PRINCIPAL/appRoleAssignments/$grant" >/dev/null
      echo revoked
    fi
  elif ! wanted "$feature" "$permission"; then
    if [[ -n $grant ]]; then echo unneeded; fi
  elif [[ -n $grant ]]; then
    echo granted
  elif [[ $MODE == check ]]; then
    echo missing
  elif [[ $MODE == dry-run ]]; then
    echo would-grant
  else
    az rest --method post --url "$GRAPH/servicePrincipals/$PRINCIPAL/appRoleAssignments" \
      --headers Content-Type=application/json \
      --body "{\"principalId\": \"$PRINCIPAL\", \"resourceId\": \"$SERVICE\", \"appRoleId\": \"$role\"}" >/dev/null
    echo "now-granted"
  fi
}

# Permissions of Graph that the identity has and that the table does not name.
list_unmanaged() {
  local role name
  while IFS=$'\t' read -r role _; do
    [[ -n $role ]] || continue
    name=$(awk -F'\t' -v id="$role" '$2 == id { print $1 }' <<<"$ROLES")
    if ! table | cut -f2 | grep -xF -- "$name" >/dev/null; then
      printf '%-12s %-32s %s\n' unmanaged "${name:-$role}" "not granted by this script, and not needed by the app"
      [[ $MODE == check ]] && FAULT=1
    fi
  done <<<"$GRANTED"
  return 0
}

# The permissions that the chosen features need. Prints no state, because it reads nothing from the tenant.
list_needed() {
  local feature permission reason
  echo "The Azure CLI (az) is not installed, so the tenant was not read. The identity needs:"
  while IFS=$'\t' read -r feature permission reason; do
    if wanted "$feature" "$permission"; then printf '%-12s %-32s %s\n' needed "$permission" "$reason"; fi
  done < <(table)
}

main() {
  local feature permission reason
  parse "$@"
  FAULT=0
  if ! command -v az >/dev/null; then
    [[ $MODE == dry-run ]] || fail "the Azure CLI (az) is not installed: https://learn.microsoft.com/cli/azure/install-azure-cli"
    list_needed
    exit 0
  fi
  read_graph
  read_granted
  while IFS=$'\t' read -r feature permission reason <&3; do
    settle "$feature" "$permission" "$reason"
  done 3< <(table)
  list_unmanaged
  if [[ $MODE == grant ]]; then
    echo "A new permission counts within a day, when the identity's token is renewed. A restart does not renew it."
  fi
  exit "$FAULT"
}

main "$@"
