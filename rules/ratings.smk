# Ratings by people: a page to rate on, blind, and what the files that raters send back say.
localrules:
    ratings_page,
    ratings_summary,


rule ratings_page:
    """The page on which people rate a model's replies, blind, and the key to it."""
    input:
        predictions=rules.users.output.predictions,
        instances=reviewed_segments,
        counted=counted_reviewed,
        markup=plan.located("resources/ratings/page.html"),
        style=plan.located("resources/ratings/page.css"),
        script=plan.located("resources/ratings/page.js"),
    output:
        page=report(
            "results/ratings_{model}.html",
            caption="../report/page.rst",
            category="Pages",
            labels={"page": "to rate replies, blind", "model": "{model}"},
        ),
        key="results/ratings_{model}_key.json",
    log:
        "results/logs/ratings_{model}/page.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("ratings"),
        code=plan.code("ratings"),
        settings=plan.section("ratings", "page"),
        cells=plan.rated_cells(),
    shell:
        "python {params.script:q} page --settings {params.settings:q} --model {wildcards.model}"
        " --cells {params.cells:q} --predictions {input.predictions:q}"
        " --instances {input.instances:q} --markup {input.markup:q} --style {input.style:q}"
        " --script {input.script:q} --page {output.page:q} --key {output.key:q} > {log:q} 2>&1"


rule ratings_summary:
    """What the returned ratings of a model say."""
    input:
        key=rules.ratings_page.output.key,
        files=plan.returned_ratings,
    output:
        summary=report(
            "results/ratings_{model}.csv",
            caption="../report/ratings.rst",
            category="Tables",
            labels={"table": "ratings of {model}"},
        ),
    log:
        "results/logs/ratings_{model}/summary.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("ratings"),
        code=plan.code("ratings"),
        settings=plan.section("ratings", "summary"),
    shell:
        "python {params.script:q} summary --settings {params.settings:q} --key {input.key:q}"
        " --files {input.files:q} --summary {output.summary:q} > {log:q} 2>&1"
