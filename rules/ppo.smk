# Stage 2: the backbone learns, from automated feedback, to write input and output for an
# instruction. Once a backbone, on the pool's first segment, so that no size changes it.


rule ppo:
    input:
        backbone=backbone,
        reward_model=judge("model"),
        evaluator=judge("evaluator"),
        instructions=first_segment,
        prompt=located(experiment.prompts.instances),
    output:
        ppo=directory("results/ppo_{model}"),
    log:
        "results/logs/ppo_{model}.log",
    benchmark:
        "results/benchmarks/ppo_{model}.tsv"
    priority: 3
    conda:
        "../envs/models.yaml"
    threads: machine("ppo").threads
    resources:
        gpu=1,
        mem_mb=machine("ppo").mem_mb,
        runtime=machine("ppo").runtime,
    params:
        script=script("ppo"),
        code=code("ppo"),
        scorer=scorer(),
        python=on_gpus(1),
        settings=section("ppo"),
        reward=reward,
        watch=untracked("watch", "ppo"),
        compute=untracked("compute", "ppo"),
        progress="results/scratch/ppo_{model}",
    shell:
        "{params.python} {params.script:q} --settings {params.settings:q} --reward {params.reward:q}"
        " --watch {params.watch:q} --compute {params.compute:q}"
        " --backbone {input.backbone:q} --reward-model {input.reward_model:q}"
        " --evaluator {input.evaluator:q} --instructions {input.instructions:q}"
        " --prompt {input.prompt:q} --progress {params.progress:q} --ppo {output.ppo:q}"
        " > {log:q} 2>&1"
