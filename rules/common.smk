# The checked experiment as `plan`, and what of it needs other rules, for every file of rules.
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir, "scripts")))

from refine_af.errors import InputError
from refine_af.files.landing import whole_file
from refine_af.jobs.command_line import canonical
from refine_af.jobs.record import ASKED_FOR
from refine_af.workflow.configuration import read_configuration, read_experiment, resolved
from refine_af.workflow.door import check_files, remove_made_folder
from refine_af.workflow.paths import origins
from refine_af.workflow.plan import Plan
from refine_af.workflow.publication import prompts_of, told_by
from refine_af.workflow.targets import Targets

try:
    told = workflow.config_settings  # by --configfile, and by --config, nested values as text
    configuration = read_configuration(Path("config.yaml"), told.configfiles, told.config)
    experiment = read_experiment(configuration)
    plan = Plan(experiment, Path(os.path.relpath(workflow.basedir)))
except InputError as error:
    remove_made_folder(workflow.overwrite_workdir)
    sys.exit(f"error: {error}")

# Jobs run with the interpreter that runs Snakemake, unless an environment of --sdm replaces it.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))
os.environ[ASKED_FOR] = "1"  # a job's log ends in what the job says of itself


def any_of(wildcard):
    """The pattern of a wildcard that takes the values of this experiment alone."""
    values = plan.axes("")[wildcard]
    return f"(?:{'|'.join(map(re.escape, values))})" if values else "(?!)"


wildcard_constraints:
    model=any_of("model"),
    method=any_of("method"),
    replicate=any_of("replicate"),
    segment="[0-9]+",
    size="[0-9]+",
    cell=any_of("cell"),
    checkpoint=any_of("checkpoint"),


onstart:
    try:
        with whole_file(Path("results/config.yaml")) as aside:
            aside.write_text(resolved(experiment), encoding="utf-8")
        plan.forecast.keep(resolved(experiment))
    except InputError as error:
        sys.exit(f"error: {error}")


onsuccess:
    if "forecast" in targets_asked():
        print(Path("results/forecast.txt").read_text(encoding="utf-8"))


def replies_of(rounds):
    """The files of some rounds' replies."""
    pattern = "results/segments/replies_{model}/{method}/{segment}/{round}.jsonl"
    return expand(pattern, round=rounds, allow_missing=True)


def predicted(parts):
    """The files of some parts of a cell's predictions."""
    pattern = "results/segments/superni_{model}/{cell}/{part}.jsonl"
    return expand(pattern, part=parts, allow_missing=True)


def writer(wildcards):
    """What the method adds to the backbone: refine-af the adapter of PPO, self-instruct nothing."""
    taught = plan.replicates.teachers(wildcards)
    return expand(rules.ppo.output.ppo, model=wildcards.model, replicate=taught)


def kinds(wildcards):
    """Which instructions of a segment are classification tasks, where the method asks for it."""
    if not plan.instances.asks_output_first(wildcards):
        return []
    return expand(
        rules.instances_kinds.output.kinds, model=wildcards.model, segment=wildcards.segment
    )


def training_seeds(wildcards):
    """The seeds, where their own instances are trained on."""
    return [plan.located(experiment.data.seeds)] if experiment.sft.include_seeds else []


def tuned_adapter(wildcards):
    """The cell's adapter; a baseline has none."""
    if wildcards.cell in plan.baselines:
        return []
    return expand(rules.sft.output.adapter, model=wildcards.model, cell=wildcards.cell)


def references(wildcards):
    """The reference set that instructions are compared with, unless config.yaml says null."""
    named = experiment.neighbours.references
    return [plan.located(named)] if named else []


def diversity_files(wildcards):
    """Every model's verbs and nouns; no file where the stage is left out."""
    if not experiment.diversity:
        return []
    return expand(rules.diversity.output.diversity, model=plan.models)


def verbs_and_nouns(wildcards):
    """A model's verbs and nouns; no file where the stage is left out."""
    if not experiment.diversity:
        return []
    return expand(rules.diversity.output.diversity, model=wildcards.model)


def beginnings(wildcards, threads):
    """What the run begins from, as a job is told: the stages' own inputs see to what reruns."""
    return canonical(origins(experiment, plan.located, configuration.files))


def truths(wildcards):
    """The demo's check of outputs against exact solvers; no other experiment has one."""
    return expand(rules.demo_truth.output.truth, model=plan.models) if experiment.demo else []


def right_answers(wildcards):
    """How many replies are right; no file where the user-oriented instructions name no rule."""
    return [rules.checkable.output.table] if plan.checked_by_rule else []


def kind_of_figure(wildcards):
    """The category, in Snakemake's report, of a file of results/figures/."""
    return "Figures" if hasattr(wildcards, "figure") else "Tables"


def labels_of_figure(wildcards):
    """Its labels there; a model's name has no underscore."""
    if hasattr(wildcards, "figure"):
        return {"figure": wildcards.figure, "model": wildcards.model}
    return {"table": wildcards.table}


def labels_of_release(wildcards):
    """Those of a card, or a prompt, of a release."""
    if hasattr(wildcards, "prompt"):
        return {"release": f"the prompt for {wildcards.prompt.replace('_', ' ')}"}
    return {"release": wildcards.card}


def targets_asked():
    """The targets of the command line, which Snakemake itself tells no Snakefile."""
    if not workflow.is_main_process or "snakemake" not in Path(sys.argv[0]).parts[-2:]:
        return []
    parser = sys.modules["snakemake.cli"].get_argument_parser()
    return parser.parse_known_args(sys.argv[1:])[0].targets


def check_inputs():
    """Before any job: what config.yaml names is there or can be made, and so can the targets."""
    try:
        check_files(
            experiment,
            plan.located,
            lambda path: any(r.is_producer(path) for r in workflow.rules),
            configuration.place_of,
        )
        files = {r.name: list(map(str, r.output)) for r in workflow.rules}
        Targets(files, plan.axes).check(targets_asked())
    except InputError as error:
        sys.exit(f"error: {error}")
    for said in plan.segments.remarks if workflow.is_main_process else []:
        print(said, file=sys.stderr)
