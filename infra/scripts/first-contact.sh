#!/usr/bin/env bash
# Checks from outside what the app cannot observe: that no caller gets past the sign-in.
#   first-contact.sh https://HOST
# Sends eleven requests with curl and changes nothing. Each line begins with ok or FAIL. Exit code 1 if one fails.
# A forged x-ms-client-principal header must have no effect: App Service sets it
# (learn.microsoft.com/azure/app-service/configure-authentication-user-identities).
set -euo pipefail

base=${1:-}
if [[ ! $base =~ ^https?://[^/]+/?$ ]]; then
  echo "usage: first-contact.sh https://HOST" >&2
  exit 2
fi
base=${base%/}
failed=0

# A principal with every role, as the header of App Service would have it.
forged=$(printf '%s' '{"auth_typ":"aad","name_typ":"name","role_typ":"roles","claims":[{"typ":"roles","val":"Licensing.ReadWrite"},{"typ":"name","val":"forged"}]}' | base64 | tr -d '\n')

# status METHOD PATH [CURL OPTIONS...]: the status code, 000 without an answer.
status() {
  local method=$1 path=$2
  shift 2
  curl --silent --output /dev/null --max-time 30 --path-as-is --request "$method" --write-out '%{http_code}' "$@" "$base$path" || true
}

# expect NAME "CODES" STATUS
expect() {
  local name=$1 wanted=$2 found=$3
  if [[ " $wanted " == *" $found "* ]]; then
    echo "ok   $name: $found"
  else
    echo "FAIL $name: $found, expected one of: $wanted"
    failed=1
  fi
}

closed="301 302 401 403"
expect "API without sign-in" "401 403" "$(status GET /api/overview --header 'Accept: application/json')"
expect "API with a forged principal" "401 403" "$(status GET /api/overview --header "x-ms-client-principal: $forged" --header 'x-ms-client-principal-id: 11111111-1111-4111-8111-111111111111' --header 'x-ms-client-principal-idp: aad')"
expect "API with an invalid token" "401 403" "$(status GET /api/overview --header 'Authorization: Bearer not.a.token')"
expect "page without sign-in" "$closed" "$(status GET / --header 'Accept: text/html')"
expect "page with a forged principal" "$closed" "$(status GET /groups --header 'Accept: text/html' --header "x-ms-client-principal: $forged")"
expect "change without sign-in" "401 403" "$(status POST /api/writing/turnOn --header 'Content-Type: application/json' --data '{}' --header "x-ms-client-principal: $forged")"
expect "health without sign-in" "200" "$(status GET /api/health)"
expect "handshake of notifications" "200" "$(status POST '/graph/notifications?validationToken=first-contact' --data '')"
expect "a path that begins like an excluded one" "$closed 404" "$(status GET /api/health/../overview)"
expect "an encoded path" "$closed 400 404" "$(status GET '/api/health/%2e%2e/overview')"
if [[ $base == https://* ]]; then
  plain="http://${base#https://}"
  expect "HTTP without encryption" "301 302 307 308 403 000" "$(curl --silent --output /dev/null --max-time 30 --write-out '%{http_code}' "$plain/api/health" || true)"
else
  echo "ok   HTTP without encryption: not tested at an http address"
fi
exit "$failed"
