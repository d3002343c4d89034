# What the instances share with the evaluation sets, segment by segment as they are written.
localrules:
    overlap,


rule overlap:
    """What a segment's instances share with the evaluation sets."""
    input:
        segment=rules.instances_segment.output.segment,
        evaluation=rules.superni_instances.output.instances,
        user_instructions=plan.located(experiment.data.user_instructions),
    output:
        overlap="results/segments/overlap_{model}/{method}/{segment}.jsonl",
    log:
        "results/logs/overlap_{model}/{method}_{segment}.log",
    benchmark:
        "results/benchmarks/overlap_{model}/{method}_{segment}.tsv"
    wildcard_constraints:
        segment="[0-9]+(?:-[0-9]+)?",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("overlap"),
        code=plan.code("overlap"),
        settings=plan.section("overlap"),
    shell:
        "python {params.script:q} --settings {params.settings:q} --segment {input.segment:q}"
        " --evaluation {input.evaluation:q} --user-instructions {input.user_instructions:q}"
        " --overlap {output.overlap:q} > {log:q} 2>&1"
