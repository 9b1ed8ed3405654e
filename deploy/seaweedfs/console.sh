#!/bin/sh
# Starts SeaweedFS's administration page: console.sh KEYS WORK PASSWORD-FILE
# It signs what it asks the store with the keys that start.sh has made.
set -eu

WEED_ADMIN_PASSWORD=$(cat "$3")
export WEED_ADMIN_PASSWORD
cd "$1"
exec "${WEED:-weed}" admin -master="${SEAWEEDFS_MASTER:-seaweedfs:9333}" -dataDir="$2" \
  -port="${CONSOLE_PORT:-23646}" -ip="${CONSOLE_BIND:-0.0.0.0}" -iceberg.port=0 -lance.port=0
