# The embedded demo's own world: a corpus, and tiny models of the real architectures trained on it.
localrules:
    demo_data,
    demo_truth,


rule demo_data:
    """The demo's seeds, user-oriented instructions and held-out tasks."""
    output:
        seeds="results/demo/seed_tasks.jsonl",
        user_instructions="results/demo/user_oriented_instructions.jsonl",
        superni=directory("results/demo/superni"),
    log:
        "results/logs/demo/data.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("demo"),
        code=plan.code("demo"),
        settings=plan.section("demo"),
    shell:
        "python {params.script:q} data --settings {params.settings:q} --seeds {output.seeds:q}"
        " --user-instructions {output.user_instructions:q} --superni {output.superni:q}"
        " > {log:q} 2>&1"


rule demo_tokenizer:
    """The demo's tokenizer, trained on its corpus."""
    output:
        tokenizer=directory("results/demo/tokenizer"),
    log:
        "results/logs/demo/tokenizer.log",
    conda:
        "../envs/models.yaml"
    params:
        script=plan.script("demo"),
        code=plan.code("demo"),
        settings=plan.section("demo"),
    shell:
        "python {params.script:q} tokenizer --settings {params.settings:q}"
        " --tokenizer {output.tokenizer:q} > {log:q} 2>&1"


rule demo_backbone:
    """A tiny language model, trained on the demo's corpus."""
    input:
        tokenizer=rules.demo_tokenizer.output.tokenizer,
    output:
        backbone=directory("results/demo/backbones/{name}"),
    log:
        "results/logs/demo/backbone_{name}.log",
    benchmark:
        "results/benchmarks/demo/backbone_{name}.tsv"
    wildcard_constraints:
        name="|".join(map(re.escape, plan.axes("demo_backbone")["name"])),
    priority: 1
    conda:
        "../envs/models.yaml"
    threads: plan.machine("demo").threads
    resources:
        mem_mb=plan.machine("demo").mem_mb,
        runtime=plan.runtime("demo"),
    params:
        script=plan.script("demo"),
        code=plan.code("demo"),
        settings=plan.section("demo"),
    shell:
        "python {params.script:q} backbone --settings {params.settings:q} --name {wildcards.name}"
        " --tokenizer {input.tokenizer:q} --backbone {output.backbone:q} > {log:q} 2>&1"


rule demo_reward_model:
    """A tiny reward model, trained to prefer the corpus's true outputs."""
    input:
        tokenizer=rules.demo_tokenizer.output.tokenizer,
    output:
        reward_model=directory("results/demo/reward_model"),
    log:
        "results/logs/demo/reward_model.log",
    benchmark:
        "results/benchmarks/demo/reward_model.tsv"
    conda:
        "../envs/models.yaml"
    threads: plan.machine("demo").threads
    resources:
        mem_mb=plan.machine("demo").mem_mb,
        runtime=plan.runtime("demo"),
    params:
        script=plan.script("demo"),
        code=plan.code("demo"),
        settings=plan.section("demo"),
    shell:
        "python {params.script:q} reward-model --settings {params.settings:q}"
        " --tokenizer {input.tokenizer:q} --reward-model {output.reward_model:q} > {log:q} 2>&1"


rule demo_evaluator:
    """A tiny evaluator, trained on the questions that UniEval asks."""
    input:
        tokenizer=rules.demo_tokenizer.output.tokenizer,
    output:
        evaluator=directory("results/demo/evaluator"),
    log:
        "results/logs/demo/evaluator.log",
    benchmark:
        "results/benchmarks/demo/evaluator.tsv"
    conda:
        "../envs/models.yaml"
    threads: plan.machine("demo").threads
    resources:
        mem_mb=plan.machine("demo").mem_mb,
        runtime=plan.runtime("demo"),
    params:
        script=plan.script("demo"),
        code=plan.code("demo"),
        settings=plan.section("demo"),
    shell:
        "python {params.script:q} evaluator --settings {params.settings:q}"
        " --tokenizer {input.tokenizer:q} --evaluator {output.evaluator:q} > {log:q} 2>&1"


rule demo_parser:
    """A tiny parser, trained on a treebank of the corpus's instructions."""
    output:
        parser=directory("results/demo/parser"),
    log:
        "results/logs/demo/parser.log",
    benchmark:
        "results/benchmarks/demo/parser.tsv"
    conda:
        "../envs/models.yaml"
    threads: plan.machine("demo").threads
    resources:
        mem_mb=plan.machine("demo").mem_mb,
        runtime=plan.runtime("demo"),
    params:
        script=plan.script("demo"),
        code=plan.code("demo"),
        settings=plan.section("demo"),
    shell:
        "python {params.script:q} parser --settings {params.settings:q}"
        " --parser {output.parser:q} > {log:q} 2>&1"


rule demo_truth:
    """How many answers to PPO's fixed prompts exact solvers find true, before and after."""
    input:
        ppo=expand(rules.ppo.output.ppo, replicate="", allow_missing=True),
    output:
        truth="results/demo/truth_{model}.json",
    log:
        "results/logs/demo/truth_{model}.log",
    conda:
        "../envs/tables.yaml"
    params:
        script=plan.script("demo"),
        code=plan.code("demo"),
        settings=plan.section("demo"),
    shell:
        "python {params.script:q} truth --settings {params.settings:q} --ppo {input.ppo:q}"
        " --truth {output.truth:q} > {log:q} 2>&1"
