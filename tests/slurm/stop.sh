#!/usr/bin/env bash
# stop.sh FOLDER: ends the SLURM that start.sh made there, its jobs first, and removes FOLDER.
# It acts when its standard input ends. Started early with a pipe, it acts however the other end
# of the pipe dies; with < /dev/null, at once.
set -uo pipefail
cat > /dev/null
folder="$(realpath "$1")"
export SLURM_CONF="$folder/slurm.conf"

# runs NAME: sets pid to that of the daemon; the name is compared because numbers are used again.
runs() {
    pid="$(cat "$folder/$1.pid" 2> /dev/null)" &&
        [[ "$(cat "/proc/$pid/comm" 2> /dev/null)" == "$1" ]]
}

# stop NAME: ask, wait 10 s, kill.
stop() {
    ! runs "$1" || kill "$pid"
    for _ in {1..100}; do
        runs "$1" || return
        sleep 0.1
    done
    kill -KILL "$pid"
}

if runs slurmctld; then
    timeout 10 scancel --quiet --user=root
    for _ in {1..100}; do
        [[ -n "$(timeout 10 squeue --noheader)" ]] || break
        sleep 0.1
    done
fi
stop slurmd
stop slurmctld
stop munged
# What a bounded one leaves behind, where nothing is in it.
find /sys/fs/cgroup/*/slurm_"$(hostname -s)" -depth -type d -exec rmdir {} + 2> /dev/null
# A folder where start.sh wrote nothing goes only if it is empty.
if [[ -f $SLURM_CONF ]]; then
    rm -rf "$folder"
else
    rmdir --ignore-fail-on-non-empty "$folder"
fi
