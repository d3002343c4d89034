# One page on what the run made: tables, figures and the figures' numbers.
localrules:
    report,


rule report:
    """One page on what the run made, with its figures."""
    input:
        pools=pool_segments,
        neighbours=expand(rules.neighbours.output.neighbours, model=plan.models),
        ppo=expand(rules.ppo.output.ppo, model=plan.models, replicate=plan.replicates.ppo),
        adapters=expand(rules.sft.output.adapter, model=plan.models, cell=plan.replicates.first),
        instances=data_segments,
        counted=counted_pools,
        overlaps=data_overlaps,
        tables=expand(rules.superni.output.table, model=plan.models),
        scores=expand(rules.superni.output.scores, model=plan.models),
        diversity=diversity_files,
        truths=truths,
        checkable=right_answers,
        ratings=expand(rules.ratings_summary.output.summary, model=plan.rated),
        paper=expand(
            plan.located("resources/paper/{printed}.csv"),
            printed=[
                "table_2",
                "table_3",
                "table_4",
                "table_5",
                "figure_2",
                "figure_5",
                "figure_8",
            ],
        ),
        cost=rules.cost.output.cost,
        provenance=rules.cost.output.provenance,
    output:
        report=report(
            "results/report.html",
            caption="../report/report.rst",
            category="Report",
            labels={"what": "the run in words, numbers and figures"},
        ),
        figures=report(
            directory("results/figures"),
            patterns=["{figure}_{model}.png", "{table}.csv"],
            caption="../report/figure.rst",
            category=kind_of_figure,
            labels=labels_of_figure,
        ),
    log:
        "results/logs/report.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("report"),
        code=plan.code("report"),
        settings=plan.section("report"),
        weights=plan.section("reward", "weights"),
        bounds=plan.section("overlap"),
        subsets=plan.subsets(),
        rating_settings=plan.section("ratings", "summary"),
        algorithm=experiment.ppo.algorithm,
        models=plan.models,
        methods=plan.methods,
        rated=plan.rated,
        # What a run was foretold is no input: other rates make nothing anew.
        configuration="results/config.yaml",
        forecast="results/forecast.json",
    shell:
        "python {params.script:q} --settings {params.settings:q} --weights {params.weights:q}"
        " --bounds {params.bounds:q} --subsets {params.subsets:q}"
        " --rating-settings {params.rating_settings:q}"
        " --algorithm {params.algorithm}"
        " --models {params.models} --methods {params.methods} --rated {params.rated}"
        " --pools {input.pools:q} --neighbours {input.neighbours:q}"
        " --ppo {input.ppo:q} --adapters {input.adapters:q} --instances {input.instances:q}"
        " --overlaps {input.overlaps:q} --tables {input.tables:q}"
        " --scores {input.scores:q} --truths {input.truths:q} --ratings {input.ratings:q}"
        " --checkable {input.checkable:q}"
        " --diversity {input.diversity:q} --paper {input.paper:q}"
        " --cost {input.cost:q} --provenance {input.provenance:q}"
        " --configuration {params.configuration:q} --forecast {params.forecast:q}"
        " --report {output.report:q} --figures {output.figures:q}"
        " > {log:q} 2>&1"
