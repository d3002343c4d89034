# Data and checkpoints from pinned addresses. These rules run where Snakemake runs: the other
# machines of a cluster often have no network.
localrules:
    fetch_file,
    fetch_instance_prompt,
    fetch_superni,
    fetch_checkpoint,


rule fetch_file:
    input:
        code=code("fetch"),
    output:
        file="results/fetch/{name}.jsonl",
    log:
        "results/logs/fetch/{name}.log",
    wildcard_constraints:
        name="seed_tasks|user_oriented_instructions",
    conda:
        "../envs/tables.yaml"
    params:
        settings=section("fetch"),
    shell:
        "python {input.code[0]} file --settings {params.settings:q} --name {wildcards.name}"
        " --downloads results/scratch/fetch --file {output.file} > {log} 2>&1"


rule fetch_instance_prompt:
    input:
        code=code("fetch"),
    output:
        prompt="results/fetch/instance_prompt.txt",
    log:
        "results/logs/fetch/instance_prompt.log",
    conda:
        "../envs/tables.yaml"
    params:
        settings=section("fetch"),
    shell:
        "python {input.code[0]} instance-prompt --settings {params.settings:q}"
        " --downloads results/scratch/fetch --prompt {output.prompt} > {log} 2>&1"


rule fetch_superni:
    input:
        digests=located(experiment.fetch.superni_digests),
        code=code("fetch"),
    output:
        tasks=directory("results/fetch/superni"),
    log:
        "results/logs/fetch/superni.log",
    conda:
        "../envs/tables.yaml"
    params:
        settings=section("fetch"),
    shell:
        "python {input.code[0]} superni --settings {params.settings:q} --digests {input.digests}"
        " --downloads results/scratch/fetch --tasks {output.tasks} > {log} 2>&1"


rule fetch_checkpoint:
    input:
        code=code("fetch"),
    output:
        folder=directory("results/checkpoints/{checkpoint}"),
    log:
        "results/logs/fetch/{checkpoint}.log",
    conda:
        "../envs/tables.yaml"
    params:
        settings=section("fetch"),
        checkpoint=fetched_checkpoint,
    shell:
        "python {input.code[0]} checkpoint --settings {params.settings:q}"
        " --checkpoint {params.checkpoint:q} --downloads results/scratch/fetch"
        " --folder {output.folder} > {log} 2>&1"
