#!/usr/bin/env bash
# Slurm Prolog (slurm.conf: Prolog=/etc/slurm/pixlog/prolog.sh): one pixlogd on each node of a job.
#
# slurmd runs it as root before the job's first step on a node. The daemon runs as the job's user, because a daemon
# takes images from its own user alone. It is no part of the job's steps, so that Slurm does not kill it with
# them; epilog.sh ends it. task_prolog.sh tells the job's tasks where it listens.
#
# A job that does without it needs nothing of this: pixlog.connect() starts a daemon inside the job's step.
set -euo pipefail

PIXLOGD="${PIXLOGD:-/opt/pixlog/bin/pixlogd}"
ROOT="${PIXLOG_SLURM_ROOT:-/run/pixlog}"
JOB_DIR="$ROOT/$SLURM_JOB_ID"

[[ -x "$PIXLOGD" ]] || exit 0 # never hold up a job because of its image logger
gid="$(id -g "$SLURM_JOB_UID")"

# The parent stays root's, and with it the pid file: a user must not be able to name the process that root ends.
install -d -m 0755 "$ROOT"
install -d -m 0700 -o "$SLURM_JOB_UID" -g "$gid" "$JOB_DIR"

PIXLOG_RUNTIME_DIR="$JOB_DIR" setsid \
    setpriv --reuid "$SLURM_JOB_UID" --regid "$gid" --init-groups --no-new-privs \
    "$PIXLOGD" serve --socket "$JOB_DIR/pixlogd.sock" --set drain_s=30 \
    </dev/null >"$ROOT/$SLURM_JOB_ID.log" 2>&1 &
echo "$!" >"$ROOT/$SLURM_JOB_ID.pid"
