# The embedded demo's own world: a corpus, and tiny models of the real architectures trained on it.
localrules:
    demo_data,
    demo_truth,


rule demo_data:
    input:
        code=code("demo"),
    output:
        seeds="results/demo/seed_tasks.jsonl",
        user_instructions="results/demo/user_oriented_instructions.jsonl",
        superni=directory("results/demo/superni"),
    log:
        "results/logs/demo/data.log",
    conda:
        "../envs/tables.yaml"
    params:
        settings=section("demo"),
    shell:
        "python {input.code[0]} data --settings {params.settings:q} --seeds {output.seeds}"
        " --user-instructions {output.user_instructions} --superni {output.superni} > {log} 2>&1"


rule demo_tokenizer:
    input:
        code=code("demo"),
    output:
        tokenizer=directory("results/demo/tokenizer"),
    log:
        "results/logs/demo/tokenizer.log",
    conda:
        "../envs/models.yaml"
    params:
        settings=section("demo"),
    shell:
        "python {input.code[0]} tokenizer --settings {params.settings:q}"
        " --tokenizer {output.tokenizer} > {log} 2>&1"


rule demo_backbone:
    input:
        tokenizer=rules.demo_tokenizer.output.tokenizer,
        code=code("demo"),
    output:
        backbone=directory("results/demo/backbones/{name}"),
    log:
        "results/logs/demo/backbone_{name}.log",
    benchmark:
        "results/benchmarks/demo/backbone_{name}.tsv"
    priority: 1
    conda:
        "../envs/models.yaml"
    threads: machine("demo").threads
    resources:
        mem_mb=machine("demo").mem_mb,
        runtime=machine("demo").runtime,
    params:
        settings=section("demo"),
    shell:
        "python {input.code[0]} backbone --settings {params.settings:q} --name {wildcards.name}"
        " --tokenizer {input.tokenizer} --backbone {output.backbone} > {log} 2>&1"


rule demo_reward_model:
    input:
        tokenizer=rules.demo_tokenizer.output.tokenizer,
        code=code("demo"),
    output:
        reward_model=directory("results/demo/reward_model"),
    log:
        "results/logs/demo/reward_model.log",
    benchmark:
        "results/benchmarks/demo/reward_model.tsv"
    conda:
        "../envs/models.yaml"
    threads: machine("demo").threads
    resources:
        mem_mb=machine("demo").mem_mb,
        runtime=machine("demo").runtime,
    params:
        settings=section("demo"),
    shell:
        "python {input.code[0]} reward-model --settings {params.settings:q}"
        " --tokenizer {input.tokenizer} --reward-model {output.reward_model} > {log} 2>&1"


rule demo_evaluator:
    input:
        tokenizer=rules.demo_tokenizer.output.tokenizer,
        code=code("demo"),
    output:
        evaluator=directory("results/demo/evaluator"),
    log:
        "results/logs/demo/evaluator.log",
    benchmark:
        "results/benchmarks/demo/evaluator.tsv"
    conda:
        "../envs/models.yaml"
    threads: machine("demo").threads
    resources:
        mem_mb=machine("demo").mem_mb,
        runtime=machine("demo").runtime,
    params:
        settings=section("demo"),
    shell:
        "python {input.code[0]} evaluator --settings {params.settings:q}"
        " --tokenizer {input.tokenizer} --evaluator {output.evaluator} > {log} 2>&1"


rule demo_truth:
    input:
        ppo=rules.ppo.output.ppo,
        code=code("demo"),
    output:
        truth="results/demo/truth_{model}.json",
    log:
        "results/logs/demo/truth_{model}.log",
    conda:
        "../envs/tables.yaml"
    params:
        settings=section("demo"),
    shell:
        "python {input.code[0]} truth --settings {params.settings:q} --ppo {input.ppo}"
        " --truth {output.truth} > {log} 2>&1"
