# REFINE-AF: seeds → instructions → PPO → instances → SFT → Super-NI → report.
# An experiment is a folder with a config.yaml: this one is the paper's, demo/ the embedded demo
# (`snakemake --directory demo`); its results/ stand beside it.
include: "rules/common.smk"
include: "rules/segments.smk"


report: "report/workflow.rst"


# Where jobs run with --sdm apptainer.
container: str(Path(workflow.basedir, "envs", "refine-af.sif"))


if experiment.fetch:

    include: "rules/fetch.smk"


include: "rules/instructions.smk"
include: "rules/neighbours.smk"
include: "rules/ppo.smk"
include: "rules/instances.smk"
include: "rules/exports.smk"
include: "rules/sft.smk"
include: "rules/superni.smk"
include: "rules/users.smk"
include: "rules/overlap.smk"
include: "rules/browser.smk"


if experiment.diversity:

    include: "rules/diversity.smk"


include: "rules/ratings.smk"


if experiment.demo:

    include: "rules/demo.smk"


include: "rules/cost.smk"
include: "rules/report.smk"
include: "rules/release.smk"
include: "rules/forecast.smk"
include: "rules/targets.smk"


localrules:
    all,


rule all:
    """The whole experiment: data, models, scores, rating pages, the report and the release."""
    default_target: True
    input:
        plan.located(experiment.data.user_instructions),
        expand(rules.instructions.output.instructions, model=plan.models),
        expand(rules.neighbours.output.neighbours, model=plan.models),
        expand(rules.ppo.output.ppo, model=plan.models, replicate=plan.replicates.ppo),
        expand(
            rules.instances.output.instances, model=plan.models, method=plan.replicates.data_sets
        ),
        expand(rules.exports_method.output.card, model=plan.models, method=plan.methods),
        expand(rules.browser_page.output.page, model=plan.models),
        expand(rules.sft.output.adapter, model=plan.models, cell=plan.tuned),
        expand(rules.superni_predictions.output.predictions, model=plan.models, cell=plan.cells),
        expand(rules.superni.output.table, model=plan.models),
        rules.users.output.predictions,
        expand(rules.ratings_page.output.page, model=plan.models),
        expand(rules.ratings_summary.output.summary, model=plan.rated),
        diversity_files,
        rules.report.output.report,
        rules.release.output.release,


check_inputs()
