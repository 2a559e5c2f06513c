#!/usr/bin/env bash
# An MLflow server for many searches at once: runs in PostgreSQL, artifacts in S3.
#
#   bash jobs/mlflow.sh postgresql://USER@HOST/DATABASE s3://BUCKET/PATH [options of 'mlflow server']
#
# Needs beside adiw-tune: pip install 'psycopg[binary]' boto3 (jobs/Dockerfile has both; SQLAlchemy
# 2.1 takes 'postgresql://' for psycopg 3), an empty database in UTF8, in which it makes its tables,
# and a bucket. The database's password comes from $PGPASSWORD or ~/.pgpass; in the address it is
# refused, as every user of the machine could see it. Keys of S3 come from AWS_ACCESS_KEY_ID and
# AWS_SECRET_ACCESS_KEY, or the machine's role. MLFLOW_S3_ENDPOINT_URL names a server other than AWS.
#
# A search is given --tracking-uri http://HOST:5000, and needs neither password nor keys: artifacts
# go through this server. It answers on this machine alone. For others:
#   --host 0.0.0.0 --allowed-hosts HOST:5000
# which has no login: keep the network closed, or add --app-name basic-auth (pip install
# 'mlflow[auth]'), and give searches MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
#
# On Kubernetes: have jobs/kuberay.yaml's Deployment run this script's last line in place of its own,
# with PGPASSWORD and the keys from a Secret (env, valueFrom, secretKeyRef), and without its volume.
# After a newer MLflow was installed, with the server stopped: mlflow db upgrade postgresql://...
set -euo pipefail

if [ $# -lt 2 ]; then
  echo "usage: bash jobs/mlflow.sh postgresql://USER@HOST/DATABASE s3://BUCKET/PATH [options of 'mlflow server']" >&2
  exit 2
fi
database=$1 artifacts=$2
shift 2
case $database in
  *://*:*@*)
    echo "error: the database's address holds a password: set PGPASSWORD instead" >&2
    exit 2
    ;;
esac

export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false # of what no search asks for: 8 processes, 1 GB
exec mlflow server --backend-store-uri "$database" --artifacts-destination "$artifacts" "$@"
