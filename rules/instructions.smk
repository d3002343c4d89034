# Stage 1: the pool of instructions, bootstrapped from the seeds segment by segment. It depends on
# no size: a larger one adds segments.
localrules:
    instructions,


rule instructions_segment:
    """Stage 1: the next instructions of a model's pool, with what was rejected and why."""
    input:
        seeds=plan.located(experiment.data.seeds),
        prompt=plan.located(experiment.prompts.instructions),
        backbone=plan.backbone,
        earlier=earlier_segments,
    output:
        segment=directory("results/segments/instructions_{model}/{segment}"),
    log:
        "results/logs/instructions_{model}/{segment}.log",
    benchmark:
        "results/benchmarks/instructions_{model}/{segment}.tsv"
    priority: 2
    conda:
        "../envs/models.yaml"
    threads: plan.machine("instructions").threads
    resources:
        gpu=plan.servers.gpus("instructions"),
        mem_mb=plan.machine("instructions").mem_mb,
        runtime=plan.runtime("instructions"),
    params:
        script=plan.script("instructions"),
        code=plan.code("instructions"),
        python=plan.on_gpus(plan.servers.gpus("instructions")),
        settings=plan.section("instructions"),
        served=plan.servers.backbone("instructions"),
        chat=plan.chat,
        watch=plan.untracked("watch", "instructions"),
        server=plan.servers.server("instructions"),
        progress="results/scratch/instructions_{model}/{segment}",
    shell:
        "{params.python} {params.script:q} segment --settings {params.settings:q}"
        " --watch {params.watch:q} --server {params.server:q}"
        " --served {params.served:q} --progress {params.progress:q}"
        " --seeds {input.seeds:q} --prompt {input.prompt:q} --chat {params.chat}"
        " --backbone {input.backbone:q}"
        " --earlier {input.earlier:q} --number {wildcards.segment} --segment {output.segment:q}"
        " > {log:q} 2>&1"


rule instructions:
    """A model's instructions in one file."""
    input:
        segments=pool_segments,
        counted=counted_pools,
    output:
        instructions="results/instructions_{model}.jsonl",
    log:
        "results/logs/instructions_{model}/merge.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("instructions"),
        code=plan.code("instructions"),
    shell:
        "python {params.script:q} merge --segments {input.segments:q}"
        " --instructions {output.instructions:q} > {log:q} 2>&1"
