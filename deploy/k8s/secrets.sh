#!/bin/sh
# Prints the Secrets of an installation on Kubernetes as manifests, from what deploy/provision has
# made in deploy/secrets. Nothing is sent anywhere: pipe it to the cluster.
#   deploy/k8s/secrets.sh | kubectl apply -f -
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
secrets=${1:-$root/deploy/secrets}
kubectl=${KUBECTL:-kubectl}

need() {
  for file in "$@"; do
    if [ ! -s "$secrets/$file" ]; then
      echo "There is no $secrets/$file: run deploy/provision/provision.sh first." >&2
      exit 1
    fi
  done
}

secret() {
  name=$1
  shift
  "$kubectl" --namespace myspinbot create secret generic "$name" --dry-run=client --output yaml "$@"
  echo ---
}

roles="admin gateway planner projector runner notary"
for role in $roles; do
  need "nkeys/$role.nk"
done
need nats/users.conf s3/access_key s3/secret_key gateway/secret \
  gateway/admin_token runner/credentials.pem tls/myspinbot.crt tls/myspinbot.key nats/route_password

for role in $roles; do
  secret "nats-$role" --from-file=seed="$secrets/nkeys/$role.nk"
done
secret nats-users --from-file=users.conf="$secrets/nats/users.conf"
secret nats-route --from-file=password="$secrets/nats/route_password"
secret s3 --from-file=access_key="$secrets/s3/access_key" \
  --from-file=secret_key="$secrets/s3/secret_key"
secret runner --from-file=credentials.pem="$secrets/runner/credentials.pem"
secret gateway --from-file=secret="$secrets/gateway/secret" \
  --from-file=admin_token="$secrets/gateway/admin_token"
"$kubectl" --namespace myspinbot create secret tls tls --dry-run=client --output yaml \
  --cert="$secrets/tls/myspinbot.crt" --key="$secrets/tls/myspinbot.key"
