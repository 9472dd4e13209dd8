#!/usr/bin/env bash
# Slurm TaskProlog (slurm.conf: TaskProlog=/etc/slurm/pixlog/task_prolog.sh): point a job's tasks at the node's pixlogd.
#
# Slurm adds the lines "export NAME=value" that this prints to the environment of each task.
socket="${PIXLOG_SLURM_ROOT:-/run/pixlog}/$SLURM_JOB_ID/pixlogd.sock"
if [[ -S "$socket" ]]; then
    echo "export PIXLOG_DAEMON=$socket"
fi
