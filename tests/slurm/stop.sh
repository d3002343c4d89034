#!/usr/bin/env bash
# stop.sh FOLDER: ends the SLURM that start.sh made there, its jobs first, and removes FOLDER.
# It acts when its standard input ends. Started early with a pipe, it acts however the other end
# of the pipe dies; with < /dev/null, at once.
set -uo pipefail
trap '' INT TERM
cat > /dev/null
folder="$(realpath "$1")"
export SLURM_CONF="$folder/slurm.conf"

runs() {
    [[ -s $folder/$1.pid && "$(cat "/proc/$(< "$folder/$1.pid")/comm" 2> /dev/null)" == "$1" ]]
}

# stop NAME: ask, wait, kill.
stop() {
    local pid
    runs "$1" || return
    pid="$(< "$folder/$1.pid")"
    kill "$pid"
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
rm -rf "$folder"
