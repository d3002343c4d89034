# Stage 3: input and output for every instruction, by the untouched backbone (self-instruct) and by
# the one that PPO trained (refine-af), segment by segment as the pool grows.
localrules:
    instances,


rule instances_segment:
    input:
        prompt=located(experiment.prompts.instances),
        backbone=backbone,
        ppo=writer,
        instructions=rules.instructions_segment.output.segment,
        code=code("instances"),
    output:
        segment=directory("results/segments/instances_{model}/{method}/{segment}"),
    log:
        "results/logs/instances_{model}/{method}_{segment}.log",
    benchmark:
        "results/benchmarks/instances_{model}/{method}_{segment}.tsv"
    priority: 1
    conda:
        "../envs/models.yaml"
    threads: machine("instances").threads
    resources:
        gpu=1,
        mem_mb=machine("instances").mem_mb,
        runtime=machine("instances").runtime,
    params:
        settings=section("instances"),
    shell:
        "python {input.code[0]:q} segment --settings {params.settings:q}"
        " --method {wildcards.method} --prompt {input.prompt:q} --backbone {input.backbone:q}"
        " --ppo {input.ppo:q} --instructions {input.instructions:q} --segment {output.segment:q}"
        " > {log:q} 2>&1"


rule instances:
    input:
        segments=expand(
            rules.instances_segment.output.segment, segment=SEGMENTS, allow_missing=True
        ),
        code=code("instances"),
    output:
        instances="results/instances_{model}/{method}.jsonl",
    log:
        "results/logs/instances_{model}/{method}.log",
    conda:
        "../envs/tables.yaml"
    shell:
        "python {input.code[0]:q} merge --segments {input.segments:q}"
        " --instances {output.instances:q} > {log:q} 2>&1"
