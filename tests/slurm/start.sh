#!/usr/bin/env bash
# start.sh FOLDER [GPUS [bounded]]: a SLURM of one node with one GPU, or up to four, on this machine,
# for tests. Root. A bounded one kills what needs more memory than it asked for, by cgroups.
# All it writes stands in FOLDER, munge's key and socket too, and it listens on loopback only, so a
# SLURM that is already here is left in peace. Clients find it by SLURM_CONF=FOLDER/slurm.conf and
# with FOLDER/bin first on the PATH. A second start starts what does not run. stop.sh FOLDER ends it.
set -euo pipefail
mkdir -p "$1"
folder="$(realpath "$1")"
gpus="${2:-1}" bounds="${3:-none}"
host="$(hostname -s)"
export SLURM_CONF="$folder/slurm.conf"

fail() {
    echo "error: $*" >&2
    tail -n 5 "$folder"/*.log >&2 2> /dev/null || true
    exit 1
}

runs() {
    local pid
    pid="$(cat "$folder/$1.pid" 2> /dev/null)" &&
        [[ "$(cat "/proc/$pid/comm" 2> /dev/null)" == "$1" ]]
}

# start NAME CHECK COMMAND...: unless it runs, start a daemon, and wait until the check succeeds.
start() {
    local name="$1" check="$2"
    shift 2
    runs "$name" || "$@" >> "$folder/$name.log" 2>&1 || fail "$name does not start"
    for _ in {1..300}; do
        if $check &> /dev/null; then
            return
        fi
        sleep 0.1
    done
    fail "$name does not answer"
}

# free_port FIRST: a port at random from FIRST on where nothing listens.
free_port() {
    local port=$(($1 + RANDOM % 5000))
    while (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null; do
        port=$(($1 + RANDOM % 5000))
    done
    echo "$port"
}

# Four cores and 16 GB whatever the machine has: jobs wait for GPUs and for nothing else.
# slurmd counts a GPU only where gres.conf names a device for it; any device does.
# A job of the partition `urgent` takes the GPU of another, which SLURM starts again later: by
# itself only after cred_expire, three times what a message may take. Without accounting; cgroups,
# which may not be ours to change, only where they are asked for. A node that comes back is up.
configure() {
    local device devices=(/dev/null /dev/zero /dev/full /dev/random) kill=linuxproc task=none
    head -c 128 /dev/urandom > "$folder/munge.key"
    chmod 0400 "$folder/munge.key"
    for device in "${devices[@]:0:gpus}"; do
        echo "NodeName=$host Name=gpu File=$device"
    done > "$folder/gres.conf"
    if [[ $bounds == bounded ]]; then
        kill=cgroup task=cgroup
        printf '%s\n' CgroupPlugin=cgroup/v1 CgroupMountpoint=/sys/fs/cgroup ConstrainRAMSpace=yes \
            > "$folder/cgroup.conf"
    fi
    cat > "$SLURM_CONF" << CONF
ClusterName=test
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=30
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port 20000)
SlurmdPort=$(free_port 25000)
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPidFile=$folder/slurmctld.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdPidFile=$folder/slurmd.pid
SlurmdLogFile=$folder/slurmd.log
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmdParameters=config_overrides
ProctrackType=proctrack/$kill
TaskPlugin=task/$task
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=1,sched_min_interval=100000,bf_interval=5
KillWait=5
JobRequeue=0
ReturnToService=2
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=16000 Gres=gpu:$gpus
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=cpu Nodes=$host Default=YES
PartitionName=gpu Nodes=$host
PartitionName=urgent Nodes=$host PriorityTier=2
CONF
    # Snakemake's jobs call srun without SLURM_CONF.
    mkdir -p "$folder/bin"
    printf '#!/bin/sh\nSLURM_CONF=%q exec %q "$@"\n' "$SLURM_CONF" "$(command -v srun)" \
        > "$folder/bin/srun"
    chmod +x "$folder/bin/srun"
}

node_is_up() {
    sinfo --noheader --format=%T | grep -qxE 'idle|mixed|allocated'
}

[[ $EUID == 0 ]] || fail "only root can start the daemons"
for program in munged slurmctld slurmd sbatch; do
    command -v "$program" > /dev/null ||
        fail "no $program here; on Debian: apt-get install munge slurmctld slurmd slurm-client"
done
[[ -s $SLURM_CONF ]] || configure
start munged "munge --no-input --socket=$folder/munge.socket" munged --force \
    --key-file="$folder/munge.key" --socket="$folder/munge.socket" --seed-file="$folder/munge.seed" \
    --pid-file="$folder/munged.pid" --log-file="$folder/munged.log"
start slurmctld "scontrol ping" slurmctld
start slurmd node_is_up slurmd
