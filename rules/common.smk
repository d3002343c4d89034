# The checked experiment, and functions from names to files, for every file of rules.
import os
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir, "scripts")))

from refine_af.workflow.configuration import check_readable
from refine_af.workflow.door import check_files
from refine_af.errors import InputError
from refine_af.jobs.command_line import canonical
from refine_af.settings.compute import MOST_SHARDS
from refine_af.workflow import plan
from refine_af.workflow.configuration import read_experiment
from refine_af.workflow.paths import checkpoint_folder, hub_name, local_paths
from refine_af.exports.provenance import provenance
from refine_af.jobs.sources import code_digest
from refine_af.rewards.equation_1 import judges_of
from refine_af.rewards.own_code import own_code

try:
    check_readable(Path("config.yaml"))
except InputError as error:
    sys.exit(f"error: {error}")


configfile: "config.yaml"


try:
    experiment = read_experiment(config)
except InputError as error:
    sys.exit(f"error: {error}")

# Jobs run with the interpreter that runs Snakemake, unless an environment of --sdm replaces it.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))

# The Snakefile's folder as seen from the experiment's: relative, so that both may move together.
ROOT = Path(os.path.relpath(workflow.basedir))
SCRIPTS = ROOT / "scripts"

MODELS = list(experiment.models)
METHODS = list(experiment.methods)
SIZES = list(experiment.sizes)
SEGMENTS = list(range(plan.segments(experiment)))
ROUNDS = list(range(plan.instance_rounds(experiment)))
SHARDS = list(range(min(experiment.compute.instances.shards, len(ROUNDS))))
BASELINES = list(experiment.superni.baselines)
PARTS = list(range(MOST_SHARDS))  # of a cell's predictions on Super-NI
EVALUATION_SHARDS = list(range(experiment.compute.superni.shards))
SERVED = experiment.instructions.engine == "server"
TUNED = [f"{method}_{size}" for method in METHODS for size in SIZES]
CELLS = BASELINES + TUNED
RATED = list(experiment.ratings.files)


wildcard_constraints:
    model="[a-z0-9.-]+",
    method="self-instruct|refine-af",
    size="[0-9]+",
    segment="[0-9]+",
    cell="[a-z0-9._-]+",


def located(path):
    """Where a path of config.yaml stands: results/ is the experiment's, others the project's."""
    return path if path.startswith("results/") else str(ROOT / os.path.expanduser(path))


def section(name):
    """A section of config.yaml as one canonical string: the whole of what a stage's jobs read."""
    text = canonical(getattr(experiment, name))
    # Handed out by a function: in a plain string Snakemake would take {braces} for wildcards.
    return lambda wildcards: text


def section_of_replies():
    """Stage 3's section for its replies, of which how many pairs are kept decides none."""
    text = canonical(experiment.instances.model_copy(update={"per_instruction": 1}))
    return lambda wildcards: text


def untracked_fetch():
    """Fetch's section, which reruns nothing: what depends on `threads` is not compared."""
    mirror = experiment.fetch.mirror and located(experiment.fetch.mirror)
    text = canonical(experiment.fetch.model_copy(update={"mirror": mirror}))
    return lambda wildcards, threads: text


def pins(*keys):
    """What decides which bytes are fetched, as one string."""
    text = repr([getattr(experiment.fetch, key) for key in keys])
    return lambda wildcards: text


def pinned_file(wildcards):
    return pins(wildcards.name)(wildcards)


def untracked(name, part):
    """A part of a section that decides no result, as one string; a change of it reruns nothing."""
    text = canonical(getattr(getattr(experiment, name), part))
    return lambda wildcards, threads: text


def reward(wildcards):
    """How instances are scored, as one string."""
    return canonical(experiment.reward)


def judge(key):
    """The checkpoint of one of the scorer's judges, unless config.yaml says null."""
    named = judges_of(experiment.reward).get(key)
    return located(checkpoint_folder(named)) if named else []


def scorer():
    """The digest of a scorer of the user's own: an edit reruns what it scored."""
    return own_code(experiment.reward.scorer, [Path(), ROOT])


def origin(wildcards):
    """What a data set's card tells of where it comes from, as one string."""
    return canonical(provenance(experiment, wildcards.model))


def rounds_of(shard):
    """Which rounds of a segment a job of stage 3 takes."""
    return ROUNDS[shard :: len(SHARDS)]


def untracked_rounds(shard):
    """The same for a rule: how many jobs share the rounds decides no reply, and reruns nothing."""
    return lambda wildcards, threads: rounds_of(shard)


def replies_of(rounds):
    """The files of some rounds' replies."""
    pattern = "results/segments/replies_{model}/{method}/{segment}/{round}.jsonl"
    return expand(pattern, round=rounds, allow_missing=True)


def parts_of(shard):
    """Which parts of a cell's predictions a job of the evaluation takes."""
    return PARTS[shard :: len(EVALUATION_SHARDS)]


def untracked_parts(shard):
    """The same for a rule: how many jobs share the parts decides no prediction."""
    return lambda wildcards, threads: parts_of(shard)


def predicted(parts):
    """The files of some parts of a cell's predictions."""
    pattern = "results/segments/superni_{model}/{cell}/{part}.jsonl"
    return expand(pattern, part=parts, allow_missing=True)


def server(wildcards, threads):
    """Where stage 1 asks another process for the model's replies: its address reruns nothing."""
    return canonical(experiment.servers[wildcards.model]) if SERVED else []


def served(wildcards):
    """What that process calls the model, which decides the replies."""
    return experiment.servers[wildcards.model].model if SERVED else ""


def gpus_of_instructions():
    """Stage 1 needs a GPU of its own unless another process serves the backbone."""
    return 0 if SERVED else 1


def machine(stage):
    """What a job of a stage asks of the machine."""
    return getattr(experiment.compute, stage)


def on_gpus(count):
    """What starts a script on GPUs of its own: which, and how many, reruns nothing."""
    several = f"accelerate launch --multi_gpu --num_machines 1 --num_processes {count}"
    several += " --mixed_precision no --dynamo_backend no --main_process_port 0"
    place = shlex.quote(str(SCRIPTS / "on_gpus.py"))
    starter = f"python {place} {count} {several if count > 1 else 'python'}"
    return lambda wildcards, threads: starter


def script(name):
    """The path of a script; what it computes is told by `code`."""
    return str(SCRIPTS / f"{name}.py")


def code(name):
    """The digest of a script's code and of all that its results depend on: an edit reruns it."""
    return code_digest(Path(workflow.basedir, "scripts", f"{name}.py"))


def backbone(wildcards):
    return located(checkpoint_folder(experiment.models[wildcards.model].checkpoint))


def backbone_here(wildcards):
    """The backbone of stage 1, unless another process serves it."""
    return [] if SERVED else backbone(wildcards)


def fetched_checkpoint(wildcards):
    return hub_name(f"results/checkpoints/{wildcards.checkpoint}", experiment)


def earlier_segments(wildcards):
    """The pool as it stood before a segment."""
    before = range(int(wildcards.segment))
    return expand(rules.instructions_segment.output.segment, model=wildcards.model, segment=before)


def first_segment(wildcards):
    return expand(rules.instructions_segment.output.segment, model=wildcards.model, segment=0)


def writer(wildcards):
    """What the method adds to the backbone: refine-af the adapter of PPO, self-instruct nothing."""
    trained = wildcards.method == "refine-af"
    return expand(rules.ppo.output.ppo, model=wildcards.model) if trained else []


def training_segments(wildcards):
    """The instances of the first {size} instructions, in whole segments."""
    needed = range(plan.segments_of(experiment, int(wildcards.size)))
    return expand(
        rules.instances_segment.output.segment,
        model=wildcards.model,
        method=wildcards.method,
        segment=needed,
    )


def training_overlaps(wildcards):
    """What the same instances share with the evaluation sets, where it decides what stays."""
    if not experiment.sft.remove_overlap:
        return []
    return expand(
        rules.overlap.output.overlap,
        model=wildcards.model,
        method=wildcards.method,
        segment=range(plan.segments_of(experiment, int(wildcards.size))),
    )


def evaluated_prompt(wildcards):
    """A baseline's own prompt, or the one that every tuned cell is given."""
    prompts = experiment.prompts
    return located(prompts.baselines.get(wildcards.cell, prompts.superni))


def tuned_adapter(wildcards):
    """The cell's adapter; a baseline has none."""
    if wildcards.cell in BASELINES:
        return []
    method, _, size = wildcards.cell.rpartition("_")
    return expand(rules.sft.output.adapter, model=wildcards.model, method=method, size=size)


def ratings(part):
    """A part of the ratings' section as one string: files that come back change no page."""
    text = canonical(getattr(experiment.ratings, part))
    return lambda wildcards: text


def rated_cells():
    """The cells whose replies people rate, in the order of ratings.page.methods."""
    return plan.rated_cells(experiment)


def reviewed_segments(wildcards):
    """The instances that people review: of the first instructions, in whole segments."""
    page = experiment.ratings.page
    segments = range(plan.segments_of(experiment, plan.rated_size(experiment)))
    return expand(
        rules.instances_segment.output.segment,
        model=wildcards.model,
        method=[name for name in page.methods if name in METHODS] if page.instances else [],
        segment=segments,
    )


def returned_ratings(wildcards):
    """The files of ratings of a model that came back."""
    return [located(path) for path in experiment.ratings.files.get(wildcards.model, [])]


def truths(wildcards):
    """The demo's check of outputs against exact solvers; no other experiment has one."""
    return expand(rules.demo_truth.output.truth, model=MODELS) if experiment.demo else []


def check_inputs():
    """Before any job: every file that config.yaml names stands there, or can be made."""
    results = Path("results")
    if results.exists() and not (results.is_dir() and os.access(results, os.W_OK)):
        sys.exit(f"error: {results.resolve()}: not a folder that can be written to")
    for key, path in local_paths(experiment):
        if set("{}") & set(path):
            sys.exit(f"error: config.yaml, {key}: {path}: Snakemake takes braces for wildcards")
        place = Path(located(path))
        if not place.exists() and not any(made.is_producer(path) for made in workflow.rules):
            sys.exit(
                f"error: config.yaml, {key}: {path}: there is nothing at {place.resolve()}, "
                "and no rule makes it"
            )
    try:
        check_files(experiment, located)
    except InputError as error:
        sys.exit(f"error: {error}")
