# The user-oriented instructions, answered by the untuned backbones and every tuned cell, in one file.
localrules:
    users,


rule users_predictions:
    input:
        prompts=located(experiment.prompts.users),
        backbone=backbone,
        adapter=tuned_adapter,
        instructions=located(experiment.data.user_instructions),
    output:
        predictions="results/users_{model}/{cell}.jsonl",
    log:
        "results/logs/users_{model}/{cell}.log",
    benchmark:
        "results/benchmarks/users_{model}/{cell}.tsv"
    conda:
        "../envs/models.yaml"
    threads: machine("users").threads
    resources:
        gpu=1,
        mem_mb=machine("users").mem_mb,
        runtime=machine("users").runtime,
    params:
        script=script("users"),
        code=code("users"),
        python=on_gpus(1),
        settings=section("users"),
        progress="results/scratch/users_{model}/{cell}",
    shell:
        "{params.python} {params.script:q} predictions --settings {params.settings:q}"
        " --model {wildcards.model} --cell {wildcards.cell} --prompts {input.prompts:q}"
        " --backbone {input.backbone:q} --adapter {input.adapter:q}"
        " --instructions {input.instructions:q} --progress {params.progress:q}"
        " --predictions {output.predictions:q} > {log:q} 2>&1"


rule users:
    input:
        cells=expand(
            rules.users_predictions.output.predictions, model=MODELS, cell=["base", *TUNED]
        ),
    output:
        predictions="results/user_predictions.jsonl",
    log:
        "results/logs/user_predictions.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=script("users"),
        code=code("users"),
    shell:
        "python {params.script:q} join --cells {input.cells:q}"
        " --predictions {output.predictions:q} > {log:q} 2>&1"
