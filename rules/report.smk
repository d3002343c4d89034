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
        tables=expand(rules.superni.output.table, model=MODELS),
        scores=expand(rules.superni.output.scores, model=MODELS),
        truths=truths,
        code=code("report"),
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
        settings=section("report"),
        models=MODELS,
        methods=METHODS,
    shell:
        "python {input.code[0]:q} --settings {params.settings:q} --models {params.models}"
        " --methods {params.methods} --pools {input.pools:q} --ppo {input.ppo:q}"
        " --instances {input.instances:q} --tables {input.tables:q} --scores {input.scores:q}"
        " --truths {input.truths:q} --report {output.report:q} --figures {output.figures:q}"
        " > {log:q} 2>&1"
