#!/usr/bin/env bash
# Makes the app registration for sign-in, or brings an existing one to the same state. It has no secret: the app proves
# itself with a token of its managed identity, which a federated credential of the registration trusts.
#
# The person who runs it needs Application Administrator (or Cloud Application Administrator), signed in with `az login`.
set -euo pipefail
shopt -s inherit_errexit

GRAPH=https://graph.microsoft.com/v1.0
CREDENTIAL=function-app-identity
AUDIENCE=api://AzureADTokenExchange

# Ids of the app roles and the scope are the same in every tenant; changing one would orphan its assignments.
ROLES='[
  {"id": "0d1d5a3e-6a0f-5b53-9f0a-7b1d0d6f3a01", "value": "Licensing.ReadWrite", "displayName": "Change licensing",
   "description": "Assign, remove, approve and reprocess licenses.", "allowedMemberTypes": ["User", "Application"], "isEnabled": true},
  {"id": "0d1d5a3e-6a0f-5b53-9f0a-7b1d0d6f3a02", "value": "Licensing.Read", "displayName": "Read licensing",
   "description": "Read assignments, status and errors.", "allowedMemberTypes": ["User", "Application"], "isEnabled": true},
  {"id": "0d1d5a3e-6a0f-5b53-9f0a-7b1d0d6f3a05", "value": "Licensing.Write", "displayName": "Change licenses",
   "description": "Change licenses of groups and users, and control operations.", "allowedMemberTypes": ["User", "Application"], "isEnabled": true},
  {"id": "0d1d5a3e-6a0f-5b53-9f0a-7b1d0d6f3a06", "value": "Licensing.Approve", "displayName": "Approve removals",
   "description": "Approve or reject removals and held leavers.", "allowedMemberTypes": ["User"], "isEnabled": true},
  {"id": "0d1d5a3e-6a0f-5b53-9f0a-7b1d0d6f3a07", "value": "Licensing.Configure", "displayName": "Configure licensing",
   "description": "Set group options and profiles.", "allowedMemberTypes": ["User", "Application"], "isEnabled": true},
  {"id": "0d1d5a3e-6a0f-5b53-9f0a-7b1d0d6f3a08", "value": "Onboarding.Read", "displayName": "Read onboarding",
   "description": "Read HR events and what became of them.", "allowedMemberTypes": ["User", "Application"], "isEnabled": true},
  {"id": "0d1d5a3e-6a0f-5b53-9f0a-7b1d0d6f3a03", "value": "Onboarding.Write", "displayName": "Send onboarding",
   "description": "Send joiners, movers and leavers of an HR system, or correct a message of theirs.", "allowedMemberTypes": ["User", "Application"], "isEnabled": true}
]'
# Only an administrator can consent to the scope, so that a person cannot let any application act with their roles.
SCOPE='{"id": "0d1d5a3e-6a0f-5b53-9f0a-7b1d0d6f3a04", "value": "user_impersonation", "type": "Admin", "isEnabled": true,
  "adminConsentDisplayName": "Use group-based licensing",
  "adminConsentDescription": "Call the API as the person who is signed in, with that person'"'"'s roles."}'

usage() {
  cat <<TEXT
usage: register-app.sh [--name NAME] [--client-id ID] [--dry-run] --url URL --identity PRINCIPAL_ID

--url URL         where the app is: azd env get-value APP_URL
--identity ID     object id of the managed identity: azd env get-value IDENTITY_PRINCIPAL_ID
--name NAME       name of the registration (Group-based licensing); an existing one of that name is brought up to date
--client-id ID    the registration to bring up to date, where several have the name
--dry-run         print what would be done
TEXT
}

fail() {
  echo "$*" >&2
  exit 2
}

parse() {
  NAME='Group-based licensing'
  CLIENT_ID='' URL='' IDENTITY='' DRY=''
  while (($#)); do
    case $1 in
      --name | --client-id | --url | --identity)
        (($# > 1)) || fail "$1 needs a value"
        case $1 in
          --name) NAME=$2 ;;
          --client-id) CLIENT_ID=$2 ;;
          --url) URL=${2%/} ;;
          --identity) IDENTITY=$2 ;;
        esac
        shift
        ;;
      --dry-run) DRY=1 ;;
      -h | --help)
        usage
        exit 0
        ;;
      *) fail "unknown option: $1" ;;
    esac
    shift
  done
  local guid='^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
  [[ $URL =~ ^https://[A-Za-z0-9.-]+$ ]] || fail "--url must be an https address without a path, not '$URL'"
  [[ $IDENTITY =~ $guid ]] || fail "--identity must be a GUID, not '$IDENTITY'"
  [[ -z $CLIENT_ID || $CLIENT_ID =~ $guid ]] || fail "--client-id must be a GUID, not '$CLIENT_ID'"
  [[ $NAME =~ ^[A-Za-z0-9._()\ -]+$ ]] || fail "--name: letters, digits, blanks and . _ - ( ) only, not '$NAME'"
}

graph() {
  local method=$1 path=$2
  shift 2
  az rest --method "$method" --url "$GRAPH$path" "$@"
}

# Runs a change, or tells it in a dry run. The first argument says in words what it is.
change() {
  local what=$1
  shift
  if [[ -n $DRY ]]; then
    echo "would: $what"
  else
    "$@" >/dev/null
    echo "done: $what"
  fi
}

send() {
  graph "$1" "$2" --headers Content-Type=application/json --body "$3"
}

# The registration: OBJECT_ID and CLIENT_ID, empty where there is none yet.
find_app() {
  local filter="displayName eq '$NAME'" found
  [[ -z $CLIENT_ID ]] || filter="appId eq '$CLIENT_ID'"
  found=$(graph get "/applications?\$filter=$filter&\$select=id,appId" --query 'value[].[id, appId]' -o tsv)
  if [[ $(grep -c . <<<"$found") -gt 1 ]]; then
    fail "several registrations have the name '$NAME'; choose one with --client-id:"$'\n'"$(cut -f2 <<<"$found")"
  fi
  [[ -n $found || -z $CLIENT_ID ]] || fail "there is no registration with the client id $CLIENT_ID"
  OBJECT_ID=$(cut -f1 <<<"$found")
  CLIENT_ID=$(cut -f2 <<<"$found")
}

# App roles that somebody added would be lost by ours: then a person decides.
refuse_foreign_roles() {
  local others
  others=$(graph get "/applications/$OBJECT_ID?\$select=appRoles" --query 'appRoles[].value' -o tsv |
    grep -vxE 'Licensing\.(ReadWrite|Read|Write|Approve|Configure)|Onboarding\.(Read|Write)|' || true)
  [[ -z $others ]] || fail "the registration has app roles that are not ours: $(paste -sd' ' <<<"$others")"
}

# Graph changes no scope that is enabled ("Permission (scope or role) cannot be deleted or updated unless disabled first",
# github.com/microsoftgraph/msgraph-sdk-dotnet issue 1888). An older version of this script let people consent to it.
disable_scope_of_users() {
  local kinds disabled
  disabled=${SCOPE/'"type": "Admin", "isEnabled": true'/'"type": "User", "isEnabled": false'}
  kinds=$(graph get "/applications/$OBJECT_ID?\$select=api" --query 'api.oauth2PermissionScopes[].type' -o tsv)
  ! grep -qx User <<<"$kinds" || change "disable the scope, to let only administrators consent to it" send patch \
    "/applications/$OBJECT_ID" "{\"api\": {\"requestedAccessTokenVersion\": 2, \"oauth2PermissionScopes\": [$disabled]}}"
}

# Only roles are asked for in tokens (`wids`): group ids would make tokens of people in many groups too long.
# Optional claims: when the person signed in, whether they are a guest, and whether an application acts for nobody
# (learn.microsoft.com/entra/identity-platform/optional-claims-reference).
settings() {
  cat <<JSON
{"displayName": "$NAME", "signInAudience": "AzureADMyOrg", "groupMembershipClaims": "DirectoryRole", "appRoles": $ROLES,
 "optionalClaims": {"idToken": [{"name": "auth_time"}, {"name": "acct"}],
   "accessToken": [{"name": "auth_time"}, {"name": "acct"}, {"name": "idtyp"}]},
 "api": {"requestedAccessTokenVersion": 2, "oauth2PermissionScopes": [$SCOPE]},
 "web": {"redirectUris": ["$URL/.auth/login/aad/callback"], "homePageUrl": "$URL",
         "implicitGrantSettings": {"enableIdTokenIssuance": true, "enableAccessTokenIssuance": false}}}
JSON
}

settle_app() {
  if [[ -z $OBJECT_ID ]]; then
    change "make the registration '$NAME'" send post /applications "$(settings)"
    [[ -n $DRY ]] && return
    find_again
  else
    refuse_foreign_roles
    disable_scope_of_users
    change "set the registration $CLIENT_ID as it should be" send patch "/applications/$OBJECT_ID" "$(settings)"
  fi
  change "name the API api://$CLIENT_ID" \
    send patch "/applications/$OBJECT_ID" "{\"identifierUris\": [\"api://$CLIENT_ID\"]}"
}

# The directory shows a new object after seconds.
find_again() {
  local try
  for try in 1 2 3 4 5 6; do
    find_app
    [[ -z $OBJECT_ID ]] || return 0
    sleep "$try"
  done
  fail "the new registration does not show yet; run this again in a minute"
}

settle_service_principal() {
  local found
  found=$(graph get "/servicePrincipals?\$filter=appId eq '$CLIENT_ID'&\$select=id" --query 'value[].id' -o tsv)
  [[ -n $found ]] || change "make the enterprise application" send post /servicePrincipals "{\"appId\": \"$CLIENT_ID\"}"
}

settle_credential() {
  local path="/applications/$OBJECT_ID/federatedIdentityCredentials" tenant body found
  tenant=$(az account show --query tenantId -o tsv)
  body="{\"name\": \"$CREDENTIAL\", \"issuer\": \"https://login.microsoftonline.com/$tenant/v2.0\",
    \"subject\": \"$IDENTITY\", \"audiences\": [\"$AUDIENCE\"]}"
  found=$(graph get "$path" --query "value[?name=='$CREDENTIAL'].[id, subject]" -o tsv)
  if [[ -z $found ]]; then
    change "trust the managed identity $IDENTITY" send post "$path" "$body"
  elif [[ $(cut -f2 <<<"$found") != "$IDENTITY" ]]; then
    change "trust the managed identity $IDENTITY instead of $(cut -f2 <<<"$found")" \
      send patch "$path/$(cut -f1 <<<"$found")" "$body"
  fi
}

main() {
  parse "$@"
  find_app
  settle_app
  if [[ -n $OBJECT_ID ]]; then
    settle_service_principal
    settle_credential
    echo "client id: $CLIENT_ID"
    echo "next: azd env set SIGN_IN_CLIENT_ID $CLIENT_ID && azd provision"
  fi
}

main "$@"
