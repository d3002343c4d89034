# The user-oriented instructions, answered by the untuned backbones and every tuned cell.
localrules:
    users,
    checkable,


rule users_predictions:
    """A cell's replies to the user-oriented instructions."""
    input:
        prompts=plan.located(experiment.prompts.users),
        backbone=plan.backbone,
        adapter=tuned_adapter,
        instructions=plan.located(experiment.data.user_instructions),
    output:
        predictions="results/users_{model}/{cell}.jsonl",
    log:
        "results/logs/users_{model}/{cell}.log",
    benchmark:
        "results/benchmarks/users_{model}/{cell}.tsv"
    conda:
        "../envs/models.yaml"
    threads: plan.machine("users").threads
    resources:
        gpu=plan.servers.gpus("users"),
        mem_mb=plan.machine("users").mem_mb,
        runtime=plan.runtime("users"),
    params:
        script=plan.script("users"),
        code=plan.code("users"),
        python=plan.on_gpus(plan.servers.gpus("users")),
        settings=plan.section("users"),
        served=plan.servers.cell("users"),
        server=plan.servers.server("users"),
        chat=plan.chat,
        progress="results/scratch/users_{model}/{cell}",
    shell:
        "{params.python} {params.script:q} predictions --settings {params.settings:q}"
        " --model {wildcards.model} --cell {wildcards.cell} --prompts {input.prompts:q}"
        " --server {params.server:q} --served {params.served:q} --chat {params.chat}"
        " --backbone {input.backbone:q} --adapter {input.adapter:q}"
        " --instructions {input.instructions:q} --progress {params.progress:q}"
        " --predictions {output.predictions:q} > {log:q} 2>&1"


rule users:
    """The replies of all cells of all models to the user-oriented instructions."""
    input:
        cells=expand(
            rules.users_predictions.output.predictions,
            model=plan.models,
            cell=["base", *plan.replicates.first],
        ),
    output:
        predictions=report(
            "results/user_predictions.jsonl",
            caption="../report/replies.rst",
            category="Tables",
            labels={"table": "replies to user-oriented instructions"},
        ),
    log:
        "results/logs/user_predictions.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("users"),
        code=plan.code("users"),
    shell:
        "python {params.script:q} join --cells {input.cells:q}"
        " --predictions {output.predictions:q} > {log:q} 2>&1"


rule checkable:
    """How many replies are right, where user-oriented instructions name a rule that checks them."""
    input:
        instructions=plan.located(experiment.data.user_instructions),
        predictions=rules.users.output.predictions,
    output:
        table=report(
            "results/checkable.csv",
            caption="../report/replies.rst",
            category="Tables",
            labels={"table": "replies that a rule finds right"},
        ),
    log:
        "results/logs/checkable.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("checkable"),
        code=plan.code("checkable"),
    shell:
        "python {params.script:q} --instructions {input.instructions:q}"
        " --predictions {input.predictions:q} --table {output.table:q} > {log:q} 2>&1"
