# Stage 3: input and output for every instruction, by the untouched backbone (self-instruct) and by
# the one that PPO trained (refine-af), segment by segment as the pool grows. Replies first, a file
# a round, then what they hold, scored. compute.instances.shards says how many jobs share a
# segment's rounds: a rule each, so that a segment's files are the same ones whatever their number.
localrules:
    instances_counted,
    instances_first,
    instances,


rule instances_kinds:
    """Stage 3: which instructions of a segment are classification tasks, where that is asked."""
    input:
        prompt=plan.located(experiment.prompts.classification),
        backbone=plan.backbone,
        instructions=rules.instructions_segment.output.segment,
    output:
        kinds="results/segments/kinds_{model}/{segment}.jsonl",
    log:
        "results/logs/instances_{model}/kinds_{segment}.log",
    benchmark:
        "results/benchmarks/instances_{model}/kinds_{segment}.tsv"
    priority: 1
    conda:
        "../envs/models.yaml"
    threads: plan.machine("instances").threads
    resources:
        gpu=plan.servers.gpus("instances"),
        mem_mb=plan.machine("instances").mem_mb,
        runtime=plan.runtime("instances"),
    params:
        script=plan.script("instances_kinds"),
        code=plan.code("instances_kinds"),
        python=plan.on_gpus(plan.servers.gpus("instances")),
        settings=plan.instances.section_of_kinds(),
        served=plan.servers.backbone("instances"),
        server=plan.servers.server("instances"),
        chat=plan.chat,
        watch=plan.untracked("watch", "instances"),
        progress="results/scratch/instances_{model}/kinds/{segment}",
    shell:
        "{params.python} {params.script:q} --settings {params.settings:q}"
        " --server {params.server:q} --served {params.served:q}"
        " --watch {params.watch:q} --prompt {input.prompt:q} --chat {params.chat}"
        " --backbone {input.backbone:q} --instructions {input.instructions:q}"
        " --progress {params.progress:q} --kinds {output.kinds:q} > {log:q} 2>&1"


for shard in plan.instances.shards:

    rule:
        """Stage 3: a job's share of the replies to a segment's instructions."""
        name:
            f"instances_replies_{shard}"
        input:
            prompt=plan.located(experiment.prompts.instances),
            output_first=plan.instances.output_first_prompt,
            kinds=kinds,
            backbone=plan.backbone,
            ppo=writer,
            instructions=rules.instructions_segment.output.segment,
        output:
            replies=replies_of(plan.instances.rounds_of(shard)),
        log:
            f"results/logs/instances_{{model}}/{{method}}_{{segment}}_replies_{shard}.log",
        benchmark:
            f"results/benchmarks/instances_{{model}}/{{method}}_{{segment}}_replies_{shard}.tsv"
        priority: 1
        conda:
            "../envs/models.yaml"
        threads: plan.machine("instances").threads
        resources:
            gpu=plan.servers.gpus("instances"),
            mem_mb=plan.machine("instances").mem_mb,
            runtime=plan.runtime("instances"),
        params:
            script=plan.script("instances_replies"),
            code=plan.code("instances_replies"),
            python=plan.on_gpus(plan.servers.gpus("instances")),
            settings=plan.instances.section_of_replies,
            served=plan.servers.writer("instances"),
            server=plan.servers.server("instances"),
            chat=plan.chat,
            method=plan.replicates.method,
            watch=plan.untracked("watch", "instances"),
            rounds=plan.instances.untracked_rounds(shard),
            progress="results/scratch/instances_{model}/{method}/{segment}/replies",
        shell:
            "{params.python} {params.script:q} --settings {params.settings:q}"
            " --server {params.server:q} --served {params.served:q}"
            " --watch {params.watch:q} --method {params.method} --prompt {input.prompt:q}"
            " --output-first {input.output_first:q} --kinds {input.kinds:q}"
            " --chat {params.chat} --backbone {input.backbone:q}"
            " --ppo {input.ppo:q} --instructions {input.instructions:q} --rounds {params.rounds}"
            " --progress {params.progress:q} --replies {output.replies:q} > {log:q} 2>&1"


rule instances_segment:
    """Stage 3: the instances in a segment's replies, scored, with what was refused and why."""
    input:
        instructions=rules.instructions_segment.output.segment,
        replies=replies_of(plan.instances.rounds),
        ppo=writer,
        reward_model=plan.judge("model"),
        evaluator=plan.judge("evaluator"),
        judge_prompt=plan.asked_judge.prompt,
    output:
        segment=directory("results/segments/instances_{model}/{method}/{segment}"),
    log:
        "results/logs/instances_{model}/{method}_{segment}.log",
    benchmark:
        "results/benchmarks/instances_{model}/{method}_{segment}.tsv"
    priority: 1
    conda:
        "../envs/models.yaml"
    threads: plan.machine("instances").threads
    resources:
        gpu=1,
        mem_mb=plan.machine("instances").mem_mb,
        runtime=plan.runtime("instances"),
    params:
        script=plan.script("instances"),
        code=plan.code("instances"),
        scorer=plan.scorer,
        judge=plan.asked_judge.model,
        judge_server=plan.asked_judge.server,
        python=plan.on_gpus(1),
        settings=plan.instances.section_of_pairs(),
        reward=plan.section("reward"),
        method=plan.replicates.method,
        watch=plan.untracked("watch", "instances"),
        progress="results/scratch/instances_{model}/{method}/{segment}/scores",
    shell:
        "{params.python} {params.script:q} segment --settings {params.settings:q}"
        " --reward {params.reward:q} --watch {params.watch:q} --method {params.method}"
        " --instructions {input.instructions:q}"
        " --replies {input.replies:q} --ppo {input.ppo:q} --reward-model {input.reward_model:q}"
        " --evaluator {input.evaluator:q} --judge-prompt {input.judge_prompt:q}"
        " --judge-server {params.judge_server:q} --progress {params.progress:q}"
        " --segment {output.segment:q} > {log:q} 2>&1"


checkpoint instances_counted:
    """Stage 3, where sizes count instances: whether there are enough, or too few for good."""
    input:
        segments=counted_segments,
    output:
        counts="results/segments/counts_{model}/{method}/{segment}.json",
    log:
        "results/logs/instances_{model}/{method}_{segment}_counted.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("instances_sizes"),
        code=plan.code("instances_sizes"),
        size=plan.segments.untracked_size,
        watch=plan.untracked("watch", "subsets"),
    shell:
        "python {params.script:q} count --size {params.size} --watch {params.watch:q}"
        " --segments {input.segments:q} --counts {output.counts:q} > {log:q} 2>&1"


rule instances_first:
    """Stage 3, where sizes count instances: the first of a segment, up to a size's last one."""
    input:
        instructions=rules.instructions_segment.output.segment,
        replies=replies_of(plan.instances.rounds),
        instances=rules.instances_segment.output.segment,
        counted=rules.instances_counted.output.counts,
    output:
        segment=directory("results/segments/instances_{model}/{method}/{segment}-{size}"),
    log:
        "results/logs/instances_{model}/{method}_{segment}-{size}.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("instances_sizes"),
        code=plan.code("instances_sizes"),
        settings=plan.instances.section_of_pairs(),
    shell:
        "python {params.script:q} first --settings {params.settings:q} --size {wildcards.size}"
        " --instructions {input.instructions:q} --replies {input.replies:q}"
        " --instances {input.instances:q} --segment {output.segment:q} > {log:q} 2>&1"


rule instances:
    """A method's instances in one file."""
    input:
        segments=data_segments,
        counted=counted_data,
    output:
        instances="results/instances_{model}/{method}.jsonl",
    log:
        "results/logs/instances_{model}/{method}.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("instances"),
        code=plan.code("instances"),
    shell:
        "python {params.script:q} merge --segments {input.segments:q}"
        " --instances {output.instances:q} > {log:q} 2>&1"
