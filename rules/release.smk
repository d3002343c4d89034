# The data of all models as one data set for the hub: a card, a Parquet folder for each model and
# method, the settings and the prompts. The same rows without what only the evaluation tells need
# none of its files.
localrules:
    release,
    release_data,


written = {
    "seeds": plan.located(experiment.data.seeds),
    "backbones": [plan.checkpoint(model.checkpoint) for model in experiment.models.values()],
    "instructions": expand(rules.instructions.output.instructions, model=plan.models),
    "neighbours": expand(rules.neighbours.output.neighbours, model=plan.models),
    "diversity": diversity_files,
    "instances": expand(rules.instances.output.instances, model=plan.models, method=plan.methods),
    "segments": data_segments,
    "counted": counted_data,
    "prompts": [plan.located(path) for path in prompts_of(experiment).values()],
    "citation": plan.located("resources/release/citation.bib"),
}


rule release:
    """The data of all models as one data set for the hub."""
    input:
        **written,
        overlaps=data_overlaps,
        figures=rules.report.output.figures,
    output:
        release=report(
            directory("results/release"),
            patterns=["{card}.md", "prompts/{prompt}.txt"],
            caption="../report/release.rst",
            category="Release",
            labels=labels_of_release,
        ),
    log:
        "results/logs/release.log",
    conda:
        "../envs/models.yaml"
    params:
        script=plan.script("release"),
        code=plan.code("release"),
        settings=plan.section("release"),
        origin=told_by(experiment),
        models=plan.models,
        methods=plan.methods,
        prompt_names=list(prompts_of(experiment)),
    shell:
        "python {params.script:q} --settings {params.settings:q} --origin {params.origin:q}"
        " --models {params.models} --methods {params.methods} --seeds {input.seeds:q}"
        " --backbones {input.backbones:q} --instructions {input.instructions:q}"
        " --neighbours {input.neighbours:q}"
        " --diversity {input.diversity:q} --instances {input.instances:q}"
        " --segments {input.segments:q} --overlaps {input.overlaps:q}"
        " --prompt-names {params.prompt_names} --prompts {input.prompts:q}"
        " --figures {input.figures:q}"
        " --citation {input.citation:q} --release {output.release:q} > {log:q} 2>&1"


use rule release as release_data with:
    """The same data set as soon as it is written: without overlaps, and the report's figures."""
    input:
        **written,
        overlaps=[],
        figures=[],
    output:
        release=report(
            directory("results/release_data"),
            patterns=["{card}.md", "prompts/{prompt}.txt"],
            caption="../report/release.rst",
            category="Release",
            labels=labels_of_release,
        ),
    log:
        "results/logs/release_data.log",
