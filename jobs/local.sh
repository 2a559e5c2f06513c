#!/usr/bin/env bash
# Runs a search on this machine, or goes on with it if it was cut off: safe to start again.
#
#   bash jobs/local.sh SPACE NAME [further options of 'adiw-tune search']
set -euo pipefail

if [ $# -lt 2 ]; then
  echo "usage: bash jobs/local.sh SPACE NAME [further options of 'adiw-tune search']" >&2
  exit 2
fi
space=$1 name=$2
shift 2

exec adiw-tune search "$space" --name "$name" --or-resume "$@"
