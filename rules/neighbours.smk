# Which seed, and which text of a reference set, each instruction of a pool is nearest to.
localrules:
    neighbours,


rule neighbours:
    """The seed and the reference that each instruction is nearest to."""
    input:
        instructions=rules.instructions.output.instructions,
        references=references,
    output:
        neighbours="results/neighbours_{model}.jsonl",
    log:
        "results/logs/neighbours_{model}.log",
    benchmark:
        "results/benchmarks/neighbours_{model}.tsv"
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("neighbours"),
        code=plan.code("neighbours"),
        novelty=plan.section("instructions", "novelty"),
    shell:
        "python {params.script:q} --novelty {params.novelty:q}"
        " --instructions {input.instructions:q} --references {input.references:q}"
        " --neighbours {output.neighbours:q} > {log:q} 2>&1"
