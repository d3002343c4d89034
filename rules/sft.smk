# The backbone is fine-tuned on the instances of the first {size} instructions, once a cell.


rule sft:
    input:
        encodings=located(experiment.prompts.sft),
        backbone=backbone,
        instances=training_segments,
        code=code("sft"),
    output:
        adapter=directory("results/sft_{model}/{method}_{size}"),
    log:
        "results/logs/sft_{model}/{method}_{size}.log",
    benchmark:
        "results/benchmarks/sft_{model}/{method}_{size}.tsv"
    conda:
        "../envs/models.yaml"
    threads: machine("sft").threads
    resources:
        gpu=1,
        mem_mb=machine("sft").mem_mb,
        runtime=machine("sft").runtime,
    params:
        settings=section("sft"),
    shell:
        "python {input.code[0]:q} --settings {params.settings:q} --size {wildcards.size}"
        " --encodings {input.encodings:q} --backbone {input.backbone:q} --instances {input.instances:q}"
        " --adapter {output.adapter:q} > {log:q} 2>&1"
