#!/usr/bin/env bash
# In: a new folder, and where PostgreSQL answers (HOST or HOST:PORT). Out: mlflow.env and auth.ini in that folder, for this account's eyes alone,
# with a password for PostgreSQL, one for MLflow's administrator and the key that signs its sessions, drawn at random.
# The same two files serve systemd (mlflow.service) and Kubernetes (mlflow-team.yaml). Nothing is printed but where they are.
set -euo pipefail

if [ $# != 2 ] || [[ ! $2 =~ ^[A-Za-z0-9.-]+(:[0-9]+)?$ ]]; then
    echo "usage: cluster/secrets.sh FOLDER POSTGRES_HOST[:PORT]" >&2
    exit 2
fi
folder=$1
if [ -e "$folder" ]; then
    echo "error: $folder exists; passwords in use are not replaced: name another folder" >&2
    exit 2
fi

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

umask 077
mkdir -p "$folder"
postgres=$(random)
uri=postgresql+psycopg://gkm:$postgres@$2/mlflow
cat >"$folder/mlflow.env" <<END
POSTGRES_PASSWORD=$postgres
MLFLOW_BACKEND_STORE_URI=$uri
MLFLOW_AUTH_ADMIN_USERNAME=admin
MLFLOW_AUTH_ADMIN_PASSWORD=$(random)
MLFLOW_FLASK_SERVER_SECRET_KEY=$(random)
END
# A user may see runs of others and change those of experiments that are shared with him.
cat >"$folder/auth.ini" <<END
[mlflow]
default_permission = READ
database_uri = $uri
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
END
echo "Wrote $folder/mlflow.env and $folder/auth.ini; nobody but $(id -un) can read them. Copies of them belong into no repository."
