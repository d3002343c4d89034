# Zero-shot evaluation on Super-NaturalInstructions: every tuned cell, and the untuned backbone.
# A cell's predictions are made in parts, each of every so many-th task; compute.superni.shards says
# how many jobs share the parts: a rule each, so that the parts are the same whatever their number.
localrules:
    superni_instances,
    superni_predictions,
    superni,


rule superni_instances:
    """The test instances of Super-NI, in one file."""
    input:
        tasks=plan.located(experiment.data.superni),
    output:
        instances="results/superni_instances.jsonl",
    log:
        "results/logs/superni_instances.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("superni_replies"),
        code=plan.code("superni_replies"),
        settings=plan.section("superni"),
    shell:
        "python {params.script:q} instances --settings {params.settings:q}"
        " --tasks {input.tasks:q} --instances {output.instances:q} > {log:q} 2>&1"


for shard in plan.evaluation_shards:

    rule:
        """Super-NI: a job's share of a cell's replies."""
        name:
            f"superni_replies_{shard}"
        input:
            prompt=plan.evaluated_prompt,
            backbone=plan.backbone,
            adapter=tuned_adapter,
            instances=rules.superni_instances.output.instances,
        output:
            predictions=predicted(plan.parts_of(shard)),
        log:
            f"results/logs/superni_{{model}}/{{cell}}_{shard}.log",
        benchmark:
            f"results/benchmarks/superni_{{model}}/{{cell}}_{shard}.tsv"
        conda:
            "../envs/models.yaml"
        threads: plan.machine("superni").threads
        resources:
            gpu=plan.servers.gpus("superni"),
            mem_mb=plan.machine("superni").mem_mb,
            runtime=plan.runtime("superni"),
        params:
            script=plan.script("superni_replies"),
            code=plan.code("superni_replies"),
            python=plan.on_gpus(plan.servers.gpus("superni")),
            settings=plan.section("superni"),
            served=plan.servers.cell("superni"),
            server=plan.servers.server("superni"),
            chat=plan.chat,
            parts=plan.untracked_parts(shard),
            of=len(plan.parts),
            progress="results/scratch/superni_{model}/{cell}",
        shell:
            "{params.python} {params.script:q} replies --settings {params.settings:q}"
            " --cell {wildcards.cell} --prompt {input.prompt:q} --backbone {input.backbone:q}"
            " --server {params.server:q} --served {params.served:q} --chat {params.chat}"
            " --adapter {input.adapter:q} --instances {input.instances:q}"
            " --parts {params.parts} --of {params.of} --progress {params.progress:q}"
            " --predictions {output.predictions:q} > {log:q} 2>&1"


rule superni_predictions:
    """A cell's predictions on Super-NI in one file."""
    input:
        instances=rules.superni_instances.output.instances,
        parts=predicted(plan.parts),
    output:
        predictions="results/superni_{model}/{cell}.jsonl",
    log:
        "results/logs/superni_{model}/{cell}.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("superni"),
        code=plan.code("superni"),
    shell:
        "python {params.script:q} predictions --instances {input.instances:q}"
        " --parts {input.parts:q} --predictions {output.predictions:q} > {log:q} 2>&1"


rule superni:
    """A model's scores on Super-NI: a row a method, size and task."""
    input:
        instances=rules.superni_instances.output.instances,
        predictions=expand(
            rules.superni_predictions.output.predictions, cell=plan.cells, allow_missing=True
        ),
    output:
        table=report(
            "results/superni_{model}.csv",
            caption="../report/scores.rst",
            category="Tables",
            labels={"table": "Super-NI scores of {model}"},
        ),
        scores="results/superni_{model}/scores.csv",
    log:
        "results/logs/superni_{model}/table.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("superni"),
        code=plan.code("superni"),
    shell:
        "python {params.script:q} table --instances {input.instances:q}"
        " --predictions {input.predictions:q} --table {output.table:q}"
        " --scores {output.scores:q} > {log:q} 2>&1"
