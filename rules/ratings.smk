# Ratings by people: a page to rate on, blind, and what the files say that raters send back.
localrules:
    ratings_page,
    ratings,


rule ratings_page:
    input:
        predictions=rules.users.output.predictions,
        instances=reviewed_segments,
        markup=located("resources/ratings/page.html"),
        style=located("resources/ratings/page.css"),
        script=located("resources/ratings/page.js"),
    output:
        page="results/ratings_{model}.html",
        key="results/ratings_{model}_key.json",
    log:
        "results/logs/ratings_{model}/page.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=script("ratings"),
        code=code("ratings"),
        settings=ratings("page"),
        cells=rated_cells(),
    shell:
        "python {params.script:q} page --settings {params.settings:q} --model {wildcards.model}"
        " --cells {params.cells:q} --predictions {input.predictions:q}"
        " --instances {input.instances:q} --markup {input.markup:q} --style {input.style:q}"
        " --script {input.script:q} --page {output.page:q} --key {output.key:q} > {log:q} 2>&1"


rule ratings:
    input:
        key=rules.ratings_page.output.key,
        files=returned_ratings,
    output:
        summary="results/ratings_{model}.csv",
    log:
        "results/logs/ratings_{model}/summary.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=script("ratings"),
        code=code("ratings"),
        settings=ratings("summary"),
    shell:
        "python {params.script:q} summary --settings {params.settings:q} --key {input.key:q}"
        " --files {input.files:q} --summary {output.summary:q} > {log:q} 2>&1"
