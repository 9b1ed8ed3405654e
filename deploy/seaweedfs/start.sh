#!/bin/sh
# Starts SeaweedFS as one process with everything in it: start.sh KEYS DATA IDENTITIES
#
# Its S3 port asks for the access keys in IDENTITIES. Its inner HTTP ports ask for tokens signed with
# keys that are made here once, because they are open to every container of the network: without
# them whoever gets into one container could read and write all objects at the filer's port. Its
# gRPC ports know no tokens; what separates them is the network.
set -eu

keys=$1 data=$2 identities=$3

if [ ! -s "$keys/security.toml" ]; then
  umask 077
  for part in jwt.signing jwt.signing.read jwt.filer_signing jwt.filer_signing.read; do
    printf '[%s]\nkey = "%s"\n' "$part" "$(head -c 30 /dev/urandom | base64)"
  done > "$keys/security.toml.new"
  mv "$keys/security.toml.new" "$keys/security.toml"
fi

# weed looks for security.toml where it is started.
cd "$keys"
host=${SEAWEEDFS_HOST:-$(hostname)}
exec "${WEED:-weed}" mini \
  -dir="$data" -ip="$host" -ip.bind="${SEAWEEDFS_BIND:-0.0.0.0}" \
  -s3.config="$identities" -s3.port="${SEAWEEDFS_S3_PORT:-8333}" \
  -s3.port.iceberg=0 -s3.port.lance=0 \
  -filer.localSocket="${TMPDIR:-/tmp}/filer.sock" -s3.localSocket="${TMPDIR:-/tmp}/s3.sock" \
  -bucket=myspinbot -admin.ui=false -webdav=false -master.telemetry=false \
  -metricsPort="${SEAWEEDFS_METRICS_PORT:-9327}" ${SEAWEEDFS_OPTIONS:-}
