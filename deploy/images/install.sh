#!/bin/sh
# Installs one service into an environment of its own, as its image has it:
#
#   install.sh LOCK ENVIRONMENT PACKAGE…
#
# LOCK is a name in requirements/, such as gateway; ENVIRONMENT the folder to make; each PACKAGE a
# folder of this repository. Run it where requirements/ and those folders lie. Nothing is installed
# that is not in the lock with its hash, and what builds our own packages is left outside.
set -eu

lock=$1 environment=$2
shift 2
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

install() { # install ENVIRONMENT ARGUMENTS…
  into=$1
  shift
  "$python" -m pip --disable-pip-version-check --python "$into/bin/python" install --quiet "$@"
}

"$python" -m venv --without-pip "$work/builder"
install "$work/builder" --no-deps --require-hashes -r requirements/build.txt
# The environment may be there already, with PyTorch in it: each machine needs its own build.
[ -x "$environment/bin/python" ] || "$python" -m venv --without-pip "$environment"
install "$environment" --no-deps --require-hashes -r "requirements/$lock.txt"
for package in "$@"; do
  (cd "$package" && "$work/builder/bin/python" -m hatchling build -t wheel -d "$work/wheels" > /dev/null)
done
install "$environment" --no-deps --no-index "$work"/wheels/*.whl
