# The backbone is fine-tuned on the instances of a size's instructions, once a cell. On
# several GPUs each process takes its part of every update, whose batch stays the same.


rule sft:
    """A model fine-tuned on the instances of a size's instructions."""
    input:
        encodings=plan.located(experiment.prompts.sft),
        backbone=plan.backbone,
        instances=training_segments,
        counted=counted_training,
        overlap=training_overlaps,
        seeds=training_seeds,
    output:
        adapter=report(
            directory("results/sft_{model}/{cell}"),
            patterns=["{card}.md"],
            caption="../report/model_card.rst",
            category="Model cards",
            labels={"cell": "{cell}", "model": "{model}"},
        ),
    log:
        "results/logs/sft_{model}/{cell}.log",
    benchmark:
        "results/benchmarks/sft_{model}/{cell}.tsv"
    conda:
        "../envs/models.yaml"
    threads: plan.machine("sft").threads
    resources:
        gpu=plan.machine("sft").gpus,
        mem_mb=plan.machine("sft").mem_mb,
        runtime=plan.runtime("sft"),
    params:
        script=plan.script("sft"),
        code=plan.code("sft"),
        settings=plan.replicates.sft_section,
        subsets=plan.subsets(),
        chat=plan.chat,
        size=plan.replicates.size,
        compute=plan.untracked("compute", "sft"),
        python=plan.on_gpus(plan.machine("sft").gpus),
        report_to=plan.report_to,
        curves="results/curves",
        progress="results/scratch/sft_{model}/{cell}",
    shell:
        "{params.python} {params.script:q} --settings {params.settings:q}"
        " --compute {params.compute:q} --size {params.size}"
        " --subsets {params.subsets:q}"
        " --encodings {input.encodings:q} --chat {params.chat} --backbone {input.backbone:q}"
        " --instances {input.instances:q} --overlap {input.overlap:q} --seeds {input.seeds:q}"
        " --progress {params.progress:q} --report-to {params.report_to} --curves {params.curves:q}"
        " --adapter {output.adapter:q} > {log:q} 2>&1"
