#!/usr/bin/env bash
# In: start, stop or status. Out: a one-node Ray cluster on 127.0.0.1 with dashboard and token authentication, or its end.
# It has a temporary directory and a process group of its own: other Rays of this machine neither join it nor are stopped with it.
# DASHBOARD_PORT (8265) and GCS_PORT (6399, and the two after it) choose its ports, CPUS the number of CPUs it offers (all of them).
set -euo pipefail
cd "$(dirname "$0")/.."

dashboard_port=${DASHBOARD_PORT:-8265}
gcs_port=${GCS_PORT:-6399}
agent_port=$((gcs_port + 1)) # jobs are started by the agent, whose usual port belongs to whichever Ray came first
client_port=$((gcs_port + 2))
folder=/tmp/gkm-ray-$(id -u) # short: paths of Unix sockets end at 107 characters
log=$folder/start.log
address=http://127.0.0.1:$dashboard_port
ray=$PWD/.venv/bin/ray

arguments_of() { if [ -d /proc/self ]; then tr '\0' ' ' <"/proc/$1/cmdline"; else ps -o args= -p "$1"; fi 2>/dev/null; }

running() { # and is ours, not another process that was given the number since
    [ -s "$folder/pid" ] && arguments_of "$(cat "$folder/pid")" | grep -qF -- "--temp-dir=$folder"
}

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

answers() { RAY_AUTH_MODE=token RAY_ADDRESS=$address "$ray" job list >/dev/null 2>&1; }

print_commands() {
    cat <<END
Ray runs at $address, open to this machine and the token in ~/.ray/auth_token only.

Submit a study:
  RAY_AUTH_MODE=token RAY_ADDRESS=$address .venv/bin/gkm submit -- sweep \\
    --space search_spaces/quick.py --data $PWD/runs/data/sample --study quick-cluster --workspace $PWD/runs

Stop Ray:
  make cluster-stop
END
}

kill_ours() {
    local pid tenths
    pid=$(cat "$folder/pid")
    kill -TERM "$pid"
    for ((tenths = 0; tenths < 150; tenths++)); do
        kill -0 -- "-$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL -- "-$pid" 2>/dev/null || true
}

start() {
    if running; then
        print_commands
        return
    fi
    local port seconds
    for port in "$dashboard_port" "$gcs_port" "$agent_port" "$client_port"; do
        if port_taken "$port"; then
            echo "error: port $port of 127.0.0.1 is taken by another program; choose others: make cluster DASHBOARD_PORT=8266 GCS_PORT=6410" >&2
            exit 2
        fi
    done
    umask 077
    rm -rf "$folder"
    mkdir "$folder"
    # Ray replaces 127.0.0.1 by the machine's outer address unless told that there will be no other machines.
    export RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 PATH="$PWD/.venv/bin:$PATH"
    "$ray" get-auth-token --generate >/dev/null 2>&1
    set -m # a process group of its own
    nohup "$ray" start --head --block --node-ip-address=127.0.0.1 --port="$gcs_port" \
        --include-dashboard=true --dashboard-host=127.0.0.1 --dashboard-port="$dashboard_port" \
        --dashboard-agent-listen-port="$agent_port" --ray-client-server-port="$client_port" \
        --temp-dir="$folder" --object-store-memory=$((1 << 30)) ${CPUS:+--num-cpus="$CPUS"} \
        </dev/null >"$log" 2>&1 &
    echo $! >"$folder/pid"
    set +m
    for ((seconds = 0; seconds < 60; seconds++)); do
        if port_taken "$dashboard_port" && port_taken "$agent_port" && answers; then
            print_commands
            return
        fi
        kill -0 "$(cat "$folder/pid")" 2>/dev/null || break
        sleep 1
    done
    echo "error: Ray did not start; its last words, all of them in $log:" >&2
    tail -n 15 "$log" >&2
    if running; then kill_ours; fi
    exit 1
}

stop() {
    if running; then
        kill_ours
        rm -rf "$folder"
        echo "Ray is stopped."
    else
        echo "No Ray of make cluster is running."
    fi
}

case ${1:-} in
start) start ;;
stop) stop ;;
status) if running; then print_commands; else echo "No Ray of make cluster is running."; fi ;;
*)
    echo "usage: cluster/local.sh start|stop|status" >&2
    exit 2
    ;;
esac
