#!/bin/sh
# Load the Debian package graph into an account: sh examples/debian-graph/load.sh [ACCOUNT]
# Running it again changes nothing. RELATA names the command, where it is not in this checkout's environment.
set -eu

account="${1:-debian}"
here="$(cd "$(dirname "$0")" && pwd)"
relata="${RELATA:-$here/../../.venv/bin/relata}"

key="$("$relata" keys create --account "$account" --create --role super_admin --name "debian graph" --quiet)"

echo "Source packages"
"$relata" import "$here/sources.csv.gz" --account "$account" --type sources --key source_name --create

echo "Packages"
"$relata" import "$here/packages.csv.gz" --account "$account" --type packages --key package_name --create

echo "Which source each package is built from"
"$relata" import "$here/packages.csv.gz" --account "$account" \
	--from packages.package_name --to sources.source_name --to-column source_name

echo "How packages relate"
"$relata" import "$here/relations.csv.gz" --account "$account" \
	--from packages.package_name --to packages.package_name \
	--create-label "Depends on=Required by" \
	--create-label "Pre-depends on=Pre-required by" \
	--create-label "Recommends=Recommended by" \
	--create-label "Suggests=Suggested by"

echo
echo "A key of the account $account: $key"
