#!/usr/bin/env bash
# Slurm Epilog (slurm.conf: Epilog=/etc/slurm/pixlog/epilog.sh): end the pixlogd that prolog.sh started for the job.
#
# SIGTERM lets it write what it has taken, for the 30 seconds that prolog.sh set; then it must go.
set -uo pipefail

ROOT="${PIXLOG_SLURM_ROOT:-/run/pixlog}"
pid_file="$ROOT/$SLURM_JOB_ID.pid"

if pid="$(cat "$pid_file" 2>/dev/null)"; then
    kill -TERM "$pid" 2>/dev/null
    for ((tenths = 0; tenths < 350; tenths++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null
fi
rm -rf -- "${ROOT:?}/${SLURM_JOB_ID:?}" "$pid_file" "$ROOT/$SLURM_JOB_ID.log"
exit 0 # a non-zero Epilog drains the node
