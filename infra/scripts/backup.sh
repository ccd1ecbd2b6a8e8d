#!/usr/bin/env bash
# Saves the app's tables and uploads the file to the backup account. The workflow `backup` runs it each night.
#
# TablesConnection__endpoint   the tables: https://ACCOUNT.table.core.windows.net/
# BACKUP_ACCOUNT               storage account with the container `tables`; not the account of the tables
# PYTHON                       Python with the app's packages; python3 if it is not set
#
# The person or identity is signed in with `az login`. It reads the tables and creates blobs. A file that exists is
# never overwritten; a rule of the backup account deletes old files.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${BACKUP_ACCOUNT:?must be the name of the storage account for backups}"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
name="tables-$(date -u +%Y%m%dT%H%M%SZ).jsonl.gz"

"${PYTHON:-python3}" -m infra.backup save "$folder/$name"
az storage blob upload --auth-mode login --only-show-errors --output none --account-name "$BACKUP_ACCOUNT" \
  --container-name tables --name "$name" --file "$folder/$name" --overwrite false
echo "uploaded $name to $BACKUP_ACCOUNT"
