# Each method's instances for others: Alpaca's JSON, a folder that the library `datasets` loads, and
# a card for the hub, which finds the data beside it.
localrules:
    exports_method,


rule exports_method:
    """A method's data set for others: Alpaca's JSON, Parquet, a data card."""
    input:
        instances=rules.instances.output.instances,
        segments=data_segments,
        counted=counted_data,
    output:
        alpaca="results/exports_{model}/{method}/alpaca.json",
        dataset=directory("results/exports_{model}/{method}/dataset"),
        card=report(
            "results/exports_{model}/{method}/README.md",
            caption="../report/card.rst",
            category="Data cards",
            labels={"method": "{method}", "model": "{model}"},
        ),
    log:
        "results/logs/exports_{model}/{method}.log",
    conda:
        "../envs/models.yaml"
    params:
        script=plan.script("exports"),
        code=plan.code("exports"),
        origin=plan.replicates.origin,
        method=plan.replicates.method,
    shell:
        "python {params.script:q} --origin {params.origin:q} --method {params.method}"
        " --instances {input.instances:q} --segments {input.segments:q} --alpaca {output.alpaca:q}"
        " --dataset {output.dataset:q} --card {output.card:q} > {log:q} 2>&1"
