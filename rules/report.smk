# One page on what the run made: tables, figures and the figures' numbers.
localrules:
    report,


rule report:
    input:
        pools=expand(rules.instructions_segment.output.segment, model=MODELS, segment=SEGMENTS),
        ppo=expand(rules.ppo.output.ppo, model=MODELS),
        instances=expand(
            rules.instances_segment.output.segment, model=MODELS, method=METHODS, segment=SEGMENTS
        ),
        overlaps=expand(
            rules.overlap.output.overlap, model=MODELS, method=METHODS, segment=SEGMENTS
        ),
        tables=expand(rules.superni.output.table, model=MODELS),
        scores=expand(rules.superni.output.scores, model=MODELS),
        truths=truths,
        ratings=expand(rules.ratings.output.summary, model=RATED),
        table_2=located("resources/paper/table_2.csv"),
        table_3=located("resources/paper/table_3.csv"),
    output:
        report=report("results/report.html", category="Report"),
        figures=report(
            directory("results/figures"),
            patterns=["{figure}.png"],
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        "results/logs/report.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=script("report"),
        code=code("report"),
        settings=section("report"),
        bounds=section("overlap"),
        rating_settings=ratings("summary"),
        algorithm=experiment.ppo.algorithm,
        models=MODELS,
        methods=METHODS,
        rated=RATED,
    shell:
        "python {params.script:q} --settings {params.settings:q} --bounds {params.bounds:q}"
        " --rating-settings {params.rating_settings:q} --algorithm {params.algorithm}"
        " --models {params.models} --methods {params.methods} --rated {params.rated} --pools {input.pools:q} --ppo {input.ppo:q}"
        " --instances {input.instances:q} --overlaps {input.overlaps:q} --tables {input.tables:q}"
        " --scores {input.scores:q} --truths {input.truths:q} --ratings {input.ratings:q} --table-2 {input.table_2:q}"
        " --table-3 {input.table_3:q} --report {output.report:q} --figures {output.figures:q}"
        " > {log:q} 2>&1"
