# Data and checkpoints from pinned addresses. These rules run where Snakemake runs: the other
# machines of a cluster often have no network. What lands is decided by its pins alone, so that
# neither another mirror nor an edit of the code that fetches makes anything anew.
localrules:
    fetch_file,
    fetch_instance_prompt,
    fetch_classification_prompts,
    fetch_superni,
    fetch_parser,
    fetch_checkpoint,


rule fetch_file:
    """Seeds, user-oriented instructions or GPT-3's instances, from their pinned address."""
    input:
        script=ancient(plan.script("fetch")),
    output:
        file="results/fetch/{name}.jsonl",
    log:
        "results/logs/fetch/{name}.log",
    wildcard_constraints:
        name="seed_tasks|user_oriented_instructions|gpt3_instances",
    conda:
        "../envs/tables.yaml"
    params:
        pins=plan.pinned_file,
        settings=plan.untracked_fetch(),
    shell:
        "python {input.script:q} file --settings {params.settings:q} --name {wildcards.name}"
        " --downloads results/scratch/fetch --file {output.file:q} > {log:q} 2>&1"


rule fetch_instance_prompt:
    """Self-Instruct's prompt for instances, read out of its module and never run."""
    input:
        script=ancient(plan.script("fetch")),
    output:
        prompt="results/fetch/instance_prompt.txt",
    log:
        "results/logs/fetch/instance_prompt.log",
    conda:
        "../envs/tables.yaml"
    params:
        pins=plan.pins("instance_prompt", "instance_prompt_constant", "instance_prompt_sha256"),
        settings=plan.untracked_fetch(),
    shell:
        "python {input.script:q} instance-prompt --settings {params.settings:q}"
        " --downloads results/scratch/fetch --prompt {output.prompt:q} > {log:q} 2>&1"


# Its downloads stand apart: the instance prompt's module is fetched at the same time.
rule fetch_classification_prompts:
    """Self-Instruct's prompts for classification tasks, read out of their modules and never run."""
    input:
        script=ancient(plan.script("fetch")),
    output:
        output_first="results/fetch/output_first_prompt.txt",
        classification="results/fetch/classification_prompt.txt",
    log:
        "results/logs/fetch/classification_prompts.log",
    conda:
        "../envs/tables.yaml"
    params:
        pins=plan.pins(
            "instance_prompt",
            "output_first_prompt_constant",
            "output_first_prompt_sha256",
            "classification_prompt",
            "classification_prompt_constant",
            "classification_prompt_sha256",
        ),
        settings=plan.untracked_fetch(),
    shell:
        "python {input.script:q} classification-prompts --settings {params.settings:q}"
        " --downloads results/scratch/fetch/classification --output-first {output.output_first:q}"
        " --classification {output.classification:q} > {log:q} 2>&1"


rule fetch_superni:
    """The Super-NI test tasks, each checked by the digests of its instances."""
    input:
        script=ancient(plan.script("fetch")),
        digests=plan.located(experiment.fetch.superni_digests),
    output:
        tasks=directory("results/fetch/superni"),
    log:
        "results/logs/fetch/superni.log",
    conda:
        "../envs/tables.yaml"
    params:
        pins=plan.pins("superni_task_url", "superni_tasks"),
        settings=plan.untracked_fetch(),
    shell:
        "python {input.script:q} superni --settings {params.settings:q} --digests {input.digests:q}"
        " --downloads results/scratch/fetch --tasks {output.tasks:q} > {log:q} 2>&1"


rule fetch_parser:
    """A parser of English, out of the archive at its pinned address."""
    input:
        script=ancient(plan.script("fetch")),
    output:
        folder=directory("results/fetch/parsers/{name}"),
    log:
        "results/logs/fetch/parser_{name}.log",
    wildcard_constraints:
        name="|".join(map(re.escape, plan.archives)) or "(?!)",
    conda:
        "../envs/tables.yaml"
    params:
        pins=plan.pinned_file,
        settings=plan.untracked_fetch(),
    shell:
        "python {input.script:q} parser --settings {params.settings:q} --name {wildcards.name}"
        " --downloads results/scratch/fetch --folder {output.folder:q} > {log:q} 2>&1"


rule fetch_checkpoint:
    """A checkpoint of the hub at its pinned commit, every file checked."""
    input:
        script=ancient(plan.script("fetch")),
    output:
        folder=directory("results/checkpoints/{checkpoint}"),
    log:
        "results/logs/fetch/{checkpoint}.log",
    conda:
        "../envs/tables.yaml"
    params:
        settings=plan.untracked_fetch(),
        checkpoint=plan.fetched_checkpoint,
        role=plan.fetched_role,
    shell:
        "python {input.script:q} checkpoint --settings {params.settings:q}"
        " --checkpoint {params.checkpoint:q} --role {params.role}"
        " --downloads results/scratch/fetch --folder {output.folder:q} > {log:q} 2>&1"
