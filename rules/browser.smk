# The data to look at: a page for each model, in one file that loads nothing.
localrules:
    browser_page,


rule browser_page:
    """The page to browse a model's data on: instances, instructions, and what was refused."""
    input:
        seeds=plan.located(experiment.data.seeds),
        pools=pool_segments,
        instances=data_segments,
        counted=counted_pools,
        neighbours=rules.neighbours.output.neighbours,
        diversity=verbs_and_nouns,
        markup=plan.located("resources/browser/page.html"),
        style=plan.located("resources/browser/page.css"),
        script=plan.located("resources/browser/page.js"),
    output:
        page=report(
            "results/browser_{model}.html",
            caption="../report/page.rst",
            category="Pages",
            labels={"page": "to browse the data", "model": "{model}"},
        ),
    log:
        "results/logs/browser_{model}.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("browser"),
        code=plan.code("browser"),
        settings=plan.section("browser"),
        methods=plan.methods,
    shell:
        "python {params.script:q} --settings {params.settings:q} --model {wildcards.model}"
        " --methods {params.methods} --seeds {input.seeds:q} --pools {input.pools:q}"
        " --instances {input.instances:q} --neighbours {input.neighbours:q}"
        " --diversity {input.diversity:q} --markup {input.markup:q} --style {input.style:q}"
        " --script {input.script:q} --page {output.page:q} > {log:q} 2>&1"
