# What the run will cost, before it runs. These have no declared outputs, so that they are made
# whenever they are asked for: what they rest on may have changed, and nothing depends on them.
localrules:
    forecast,


rule forecast:
    """Target: what this run will cost, before it runs: results/forecast.txt."""
    log:
        "results/logs/forecast.log",
    conda:
        "../envs/models.yaml"
    params:
        script=plan.script("forecast"),
        experiment=plan.untracked_experiment,
        root=plan.root,
        forecast="results/forecast.txt",
    shell:
        "python {params.script:q} plan --experiment {params.experiment:q} --root {params.root:q}"
        " --forecast {params.forecast:q} > {log:q} 2>&1"


rule calibrate:
    """Target: the rates of the machine that runs this job, for the forecast."""
    log:
        "results/logs/calibrate.log",
    conda:
        "../envs/models.yaml"
    threads: plan.machine("instructions").threads
    resources:
        gpu=1,
        mem_mb=plan.machine("instructions").mem_mb,
        runtime=10,
    params:
        script=plan.script("forecast"),
        python=plan.on_gpus(1),
        calibration="results/calibration.json",
    shell:
        "{params.python} {params.script:q} calibrate --calibration {params.calibration:q}"
        " > {log:q} 2>&1"
