# The backbone is fine-tuned on the instances of the first {size} instructions, once a cell. On
# several GPUs each process takes its part of every update, whose batch stays the same.


rule sft:
    input:
        encodings=located(experiment.prompts.sft),
        backbone=backbone,
        instances=training_segments,
        overlap=training_overlaps,
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
        gpu=machine("sft").gpus,
        mem_mb=machine("sft").mem_mb,
        runtime=machine("sft").runtime,
    params:
        script=script("sft"),
        code=code("sft"),
        settings=section("sft"),
        compute=untracked("compute", "sft"),
        python=on_gpus(machine("sft").gpus),
        progress="results/scratch/sft_{model}/{method}_{size}",
    shell:
        "{params.python} {params.script:q} --settings {params.settings:q} --compute {params.compute:q}"
        " --size {wildcards.size} --encodings {input.encodings:q} --backbone {input.backbone:q}"
        " --instances {input.instances:q} --overlap {input.overlap:q}"
        " --progress {params.progress:q} --adapter {output.adapter:q} > {log:q} 2>&1"
