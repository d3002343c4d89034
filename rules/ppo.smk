# Stage 2: the backbone learns, from automated feedback, to write input and output for an
# instruction. Once a backbone, or as often as replicates.ppo says, each time with another seed, on
# the pool's first segment, so that no size changes it.


rule ppo:
    """Stage 2: a LoRA adapter that PPO trained to write good instances, with its metrics."""
    input:
        backbone=plan.backbone,
        reward_model=plan.judge("model"),
        evaluator=plan.judge("evaluator"),
        judge_prompt=plan.asked_judge.prompt,
        instructions=first_segment,
        prompt=plan.located(experiment.prompts.instances),
    output:
        ppo=directory("results/ppo_{model}{replicate}"),
    log:
        "results/logs/ppo_{model}{replicate}.log",
    benchmark:
        "results/benchmarks/ppo_{model}{replicate}.tsv"
    priority: 3
    conda:
        "../envs/models.yaml"
    threads: plan.machine("ppo").threads
    resources:
        gpu=1,
        mem_mb=plan.machine("ppo").mem_mb,
        runtime=plan.runtime("ppo"),
    params:
        script=plan.script("ppo"),
        code=plan.code("ppo"),
        scorer=plan.scorer,
        judge=plan.asked_judge.model,
        judge_server=plan.asked_judge.server,
        chat=plan.chat,
        python=plan.on_gpus(1),
        settings=plan.replicates.ppo_section,
        reward=plan.section("reward"),
        watch=plan.untracked("watch", "ppo"),
        compute=plan.untracked("compute", "ppo"),
        report_to=plan.report_to,
        curves="results/curves",
        progress="results/scratch/ppo_{model}{replicate}",
    shell:
        "{params.python} {params.script:q} --settings {params.settings:q}"
        " --reward {params.reward:q} --watch {params.watch:q} --compute {params.compute:q}"
        " --backbone {input.backbone:q} --reward-model {input.reward_model:q}"
        " --evaluator {input.evaluator:q} --judge-prompt {input.judge_prompt:q}"
        " --judge-server {params.judge_server:q} --instructions {input.instructions:q}"
        " --prompt {input.prompt:q} --chat {params.chat}"
        " --report-to {params.report_to} --curves {params.curves:q}"
        " --progress {params.progress:q} --ppo {output.ppo:q}"
        " > {log:q} 2>&1"
