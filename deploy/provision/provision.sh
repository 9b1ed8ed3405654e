#!/bin/sh
# Makes the secrets, keys and certificates of a deployment in deploy/secrets. The work is done by
# `myspinbot provision`, from this folder's environment or else from its image; options go on to it.
#   deploy/provision/provision.sh --domain bot.example.org
#   sudo deploy/provision/provision.sh --write-hosts
set -eu
umask 077

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
cd "$root"
image=${MYSPINBOT_CLI_IMAGE:-myspinbot/cli:0.1.0}

if [ -x .venv/bin/myspinbot ]; then
  exec .venv/bin/myspinbot provision "$@"
fi
if ! command -v docker > /dev/null 2>&1; then
  echo "There is neither .venv/bin/myspinbot nor docker." >&2
  echo "Run 'make setup', or install Docker, then run this again." >&2
  exit 1
fi
if ! docker image inspect "$image" > /dev/null 2>&1; then
  docker build --quiet --file deploy/images/cli.Dockerfile --tag "$image" . > /dev/null
fi
mkdir -p deploy/secrets
# As who runs this script, so that the files are theirs; the hosts file is the machine's own.
exec docker run --rm --network none --user "$(id -u):$(id -g)" \
  --volume "$root/deploy/secrets:/work/deploy/secrets" --volume /etc/hosts:/etc/hosts \
  --workdir /work --entrypoint myspinbot "$image" provision "$@"
