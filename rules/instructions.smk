# Stage 1: the pool of instructions, bootstrapped from the seeds segment by segment. It depends on
# no size: a larger one adds segments.
localrules:
    instructions,


rule instructions_segment:
    input:
        seeds=located(experiment.data.seeds),
        prompt=located(experiment.prompts.instructions),
        backbone=backbone_here,
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
    threads: machine("instructions").threads
    resources:
        gpu=gpus_of_instructions(),
        mem_mb=machine("instructions").mem_mb,
        runtime=machine("instructions").runtime,
    params:
        script=script("instructions"),
        code=code("instructions"),
        python=on_gpus(gpus_of_instructions()),
        settings=section("instructions"),
        served=served,
        watch=untracked("watch", "instructions"),
        server=server,
        progress="results/scratch/instructions_{model}/{segment}",
    shell:
        "{params.python} {params.script:q} segment --settings {params.settings:q}"
        " --watch {params.watch:q} --server {params.server:q} --progress {params.progress:q}"
        " --seeds {input.seeds:q} --prompt {input.prompt:q} --backbone {input.backbone:q}"
        " --earlier {input.earlier:q} --number {wildcards.segment} --segment {output.segment:q}"
        " > {log:q} 2>&1"


rule instructions:
    input:
        segments=expand(
            rules.instructions_segment.output.segment, segment=SEGMENTS, allow_missing=True
        ),
    output:
        instructions="results/instructions_{model}.jsonl",
    log:
        "results/logs/instructions_{model}/merge.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=script("instructions"),
        code=code("instructions"),
    shell:
        "python {params.script:q} merge --segments {input.segments:q}"
        " --instructions {output.instructions:q} > {log:q} 2>&1"
