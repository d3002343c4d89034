# What the run's jobs took, and where they ran. The benchmark files and the logs that this reads are
# no inputs: one that somebody deletes is a job untold, and no reason to make anything anew.
localrules:
    cost,


rule cost:
    """What the jobs took by model and stage, and where and from what they ran."""
    input:
        pools=pool_segments,
        counted=counted_pools,
        ppo=expand(rules.ppo.output.ppo, model=plan.models, replicate=plan.replicates.ppo),
        adapters=expand(rules.sft.output.adapter, model=plan.models, cell=plan.tuned),
        diversity=diversity_files,
        overlaps=data_overlaps,
        awaited=[
            expand(rules.neighbours.output.neighbours, model=plan.models),
            expand(rules.superni.output.table, model=plan.models),
            rules.users.output.predictions,
        ],
    output:
        cost=report(
            "results/cost.csv",
            caption="../report/cost.rst",
            category="Cost and provenance",
            labels={"what": "hours, memory and tokens by model and stage"},
        ),
        provenance=report(
            "results/provenance.json",
            caption="../report/provenance.rst",
            category="Cost and provenance",
            labels={"what": "machines, code, times and digests"},
        ),
    log:
        "results/logs/cost.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("cost"),
        code=plan.code("cost"),
        origins=beginnings,
        models=plan.models,
        rollouts=experiment.ppo.rollouts,
        benchmarks="results/benchmarks",
        logs="results/logs",
        replies=expand("results/segments/replies_{model}", model=plan.models),
    shell:
        "python {params.script:q} --origins {params.origins:q} --models {params.models}"
        " --rollouts {params.rollouts} --benchmarks {params.benchmarks:q} --logs {params.logs:q}"
        " --pools {input.pools:q} --ppo {input.ppo:q} --adapters {input.adapters:q}"
        " --replies {params.replies:q} --cost {output.cost:q}"
        " --provenance {output.provenance:q} > {log:q} 2>&1"
