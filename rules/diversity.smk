# How diverse the instructions are: verb and noun of each. Parsing takes long, and so has a job a
# segment; what is made of the parses does not.
localrules:
    diversity,


rule diversity_parses:
    """The first sentence of every instruction of a segment, parsed."""
    input:
        parser=plan.located(experiment.diversity.parser),
        segment=rules.instructions_segment.output.segment,
    output:
        parses=directory("results/segments/diversity_{model}/{segment}"),
    log:
        "results/logs/diversity_{model}/{segment}.log",
    benchmark:
        "results/benchmarks/diversity_{model}/{segment}.tsv"
    conda:
        "../envs/models.yaml"
    threads: plan.machine("diversity").threads
    resources:
        gpu=1,
        mem_mb=plan.machine("diversity").mem_mb,
        runtime=plan.runtime("diversity"),
    params:
        script=plan.script("diversity_parses"),
        code=plan.code("diversity_parses"),
        python=plan.on_gpus(1),
        settings=plan.section("diversity"),
        progress="results/scratch/diversity_{model}/{segment}",
    shell:
        "{params.python} {params.script:q} --settings {params.settings:q}"
        " --parser {input.parser:q} --segment {input.segment:q} --progress {params.progress:q}"
        " --parses {output.parses:q} > {log:q} 2>&1"


rule diversity:
    """Verb and noun of every instruction, their unique pairs, and what has none."""
    input:
        instructions=rules.instructions.output.instructions,
        parses=pool_parses,
        counted=counted_pools,
    output:
        diversity=directory("results/diversity_{model}"),
    log:
        "results/logs/diversity_{model}/pairs.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("diversity"),
        code=plan.code("diversity"),
    shell:
        "python {params.script:q} --instructions {input.instructions:q} --parses {input.parses:q}"
        " --diversity {output.diversity:q} > {log:q} 2>&1"
