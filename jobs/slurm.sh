#!/usr/bin/env bash
# Runs a search on several nodes of a Slurm cluster, or goes on with it if it was cut off.
#
#   sbatch [--nodes=4 --gpus-per-node=8] jobs/slurm.sh SPACE NAME [options of 'adiw-tune search']
#
# Submit from a directory that all nodes share, with adiw-tune on PATH. Edit the directives below,
# or give them to sbatch. A job that is preempted, or runs into its time limit, is requeued.
#SBATCH --job-name=adiw-tune
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=08:00:00
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --open-mode=append
set -euo pipefail

if [ $# -lt 2 ]; then
  echo "usage: sbatch jobs/slurm.sh SPACE NAME [options of 'adiw-tune search']" >&2
  exit 2
fi
space=$1 name=$2
shift 2

# The nodes share a token, new for each job: in a file, so that no log or environment has it.
RAY_AUTH_TOKEN_PATH=$(mktemp "$PWD/.ray-token-XXXXXX")
export RAY_AUTH_TOKEN_PATH RAY_AUTH_MODE=token
trap 'rm -f "$RAY_AUTH_TOKEN_PATH"' EXIT
head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$RAY_AUTH_TOKEN_PATH"

export RAY_USAGE_STATS_ENABLED=0
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300 # seconds for all nodes to join, not 30

# Each node reads for itself what Slurm gave it. The head runs where srun was called: on this node.
# What Ray prints on the others is long, and goes into files of their own.
# shellcheck disable=SC2016
on_each_node='[ "$SLURM_PROCID" = 0 ] || exec >"slurm-$SLURM_JOB_ID-node$SLURM_PROCID.out" 2>&1
exec ray symmetric-run --address "$SLURM_LAUNCH_NODE_IPADDR:6379" \
  --min-nodes "$SLURM_JOB_NUM_NODES" --num-cpus="$SLURM_CPUS_ON_NODE" \
  --num-gpus="${SLURM_GPUS_ON_NODE:-0}" -- "$@"'

# In the background, as bash would keep the signal until srun ends. Unbound, as Slurm may else tie a
# node's one task, and so Ray with all its trials, to one core.
trap 'scontrol requeue "$SLURM_JOB_ID"' USR1
srun --cpu-bind=none bash -c "$on_each_node" on-each-node \
  adiw-tune search "$space" --name "$name" --address auto --or-resume "$@" &
wait $!
