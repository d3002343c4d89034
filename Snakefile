# REFINE-AF: seeds → instructions → PPO → instances → SFT → Super-NI → report.
# An experiment is a folder with a config.yaml: this one is the paper's, demo/ the embedded demo
# (`snakemake --directory demo`); its results/ stand beside it.
include: "rules/common.smk"


if experiment.fetch:

    include: "rules/fetch.smk"


include: "rules/instructions.smk"
include: "rules/ppo.smk"
include: "rules/instances.smk"
include: "rules/exports.smk"
include: "rules/sft.smk"
include: "rules/superni.smk"
include: "rules/users.smk"
include: "rules/overlap.smk"
include: "rules/ratings.smk"


if experiment.demo:

    include: "rules/demo.smk"


include: "rules/report.smk"


check_inputs()


localrules:
    all,


rule all:
    default_target: True
    input:
        located(experiment.data.user_instructions),
        expand(rules.instructions.output.instructions, model=MODELS),
        expand(rules.ppo.output.ppo, model=MODELS),
        expand(rules.instances.output.instances, model=MODELS, method=METHODS),
        expand(rules.exports.output.card, model=MODELS, method=METHODS),
        expand(rules.sft.output.adapter, model=MODELS, method=METHODS, size=SIZES),
        expand(rules.superni_predictions.output.predictions, model=MODELS, cell=CELLS),
        expand(rules.superni.output.table, model=MODELS),
        rules.users.output.predictions,
        expand(rules.ratings_page.output.page, model=MODELS),
        expand(rules.ratings.output.summary, model=RATED),
        rules.report.output.report,
