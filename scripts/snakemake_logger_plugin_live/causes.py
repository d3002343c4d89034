"""Why a job ended, in words, with the next step: by its command's end, or by what SLURM says."""

import re
from collections.abc import Iterable, Sequence

from snakemake_logger_plugin_live.job_logs import MESSAGE_WIDTH, fitted, plain, tail_of

GOES_ON = "the same command goes on where it was"
PREEMPTED = (
    "SLURM has preempted a job. It starts it again by itself, and the job goes on where it was; if"
    " `squeue --me` no longer lists it, end Snakemake (Ctrl-C): then " + GOES_ON
)
LOCKED = (
    "Another Snakemake works in this folder, or one was killed there. If none works there any more:"
    " `snakemake --unlock`, with the same --directory; then " + GOES_ON + ", and waits for a job"
    " that has outlived its Snakemake"
)
AGAIN = "started again by SLURM, after a preemption or the fault of a node; it goes on where it was"

# How Snakemake quotes the end of a job's command.
ENDING = re.compile(r"(returned non-zero exit status \d+|died with <Signals\.\w+: \d+>)\.?\s*$")

# By the state that Snakemake's message names, or by SLURM's own lines in its log of the job; the
# first that fits is the most telling, since what is over its limit is cancelled, and then killed.
_ENDS = (
    (
        r"'OUT_OF_MEMORY'|oom[-_]kill|Out Of Memory",
        "killed: it needed more memory than it had asked for. Raise {compute}.mem_mb in"
        " config.yaml: then {goes_on}",
    ),
    (
        r"'TIMEOUT'|'DEADLINE'|DUE TO TIME LIMIT",
        "ended by its time limit: {goes_on}. To give it longer, state the minutes as"
        " {compute}.runtime in config.yaml",
    ),
    (
        r"'NODE_FAIL'|'BOOT_FAIL'|DUE TO NODE FAILURE",
        "its node failed: {goes_on}, on another node",
    ),
    (
        r"'PREEMPTED'|DUE TO PREEMPTION",
        "ended for a job that goes before it (preemption): {goes_on}",
    ),
    (
        r"'CANCELLED'|CANCELLED AT",
        "cancelled, by `scancel` or by who runs the cluster: {goes_on}",
    ),
    (
        r"status 137|SIGKILL|task \d+: Killed",
        "killed from outside (signal 9): was there memory enough? If so, {goes_on}",
    ),
)

# By what sbatch says.
_REFUSALS = (
    (
        r"time limit",
        "The partition allows less than the job asks for: state the minutes that it allows as"
        " {compute}.runtime in config.yaml, and let --retries 9 take up the rest",
    ),
    (r"(?i)invalid account", "Name your account, slurm_account, in profiles/slurm/config.yaml"),
    (r"partition", "Name your cluster's partitions in profiles/slurm/config.yaml"),
    (
        r"node configuration",
        "No node of the partition has that much: name another in profiles/slurm/config.yaml, or ask"
        " for less, {compute} in config.yaml",
    ),
    (
        r"policy|QOS|limit",
        "Where it is the number of jobs, let fewer stand in the queue: `jobs` in"
        " profiles/slurm/config.yaml",
    ),
)
_REFUSED = re.compile(r"sbatch failed\. The error message was '(.*?)'\.\s*\n\s*sbatch call", re.S)
_OF_SLURM = re.compile(r"slurmstepd|srun: ")


def cause_of(rule: str, ending: str, message: str, logs: Iterable[str]) -> list[str]:
    """Why a job ended and what to do, as lines; none where only the job's own words can tell.

    `ending` is how a shell quotes its command's end, where Snakemake knows it; `message` what it
    says of a job that a cluster ran, and `logs` are the cluster's own of that job.
    """
    if refused := _REFUSED.search(message):
        said = [
            fitted(plain(line), MESSAGE_WIDTH) for line in refused[1].splitlines() if line.strip()
        ]
        return ["SLURM did not take the job:", *said, *_advice(_REFUSALS, rule, refused[1])]
    lines = [line for log in logs for line in tail_of(log)]
    quoted = [end[1] for line in lines if (end := ENDING.search(line))]
    of_slurm = [line for line in lines if _OF_SLURM.match(line)]
    return _advice(_ENDS, rule, "\n".join([message, ending, *quoted, *of_slurm]))


def _advice(known: Sequence[tuple[str, str]], rule: str, said: str) -> list[str]:
    # The section of `compute` for a rule bears the first word of the rule's name.
    words = {"compute": f"compute.{rule.partition('_')[0]}", "goes_on": GOES_ON}
    return [advice.format(**words) for pattern, advice in known if re.search(pattern, said)][:1]
