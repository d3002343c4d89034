# Names for what people ask for, all of a kind in this experiment: `snakemake data`.
localrules:
    data,
    exports,
    browser,
    adapters,
    scores,
    ratings,


rule data:
    """Target: instructions and instances of every method, as a data set for the hub too."""
    input:
        expand(rules.instructions.output.instructions, model=plan.models),
        expand(
            rules.instances.output.instances, model=plan.models, method=plan.replicates.data_sets
        ),
        rules.release_data.output.release,


rule exports:
    """Target: the data sets for others."""
    input:
        expand(rules.exports_method.output, model=plan.models, method=plan.methods),


rule browser:
    """Target: the pages to browse the data on."""
    input:
        expand(rules.browser_page.output, model=plan.models),


rule adapters:
    """Target: the adapters of PPO, and the fine-tuned model of every cell."""
    input:
        expand(rules.ppo.output.ppo, model=plan.models, replicate=plan.replicates.ppo),
        expand(rules.sft.output.adapter, model=plan.models, cell=plan.tuned),


rule scores:
    """Target: the scores on Super-NI."""
    input:
        expand(rules.superni.output, model=plan.models),


rule ratings:
    """Target: the pages for raters, and what those say who sent theirs back."""
    input:
        expand(rules.ratings_page.output, model=plan.models),
        expand(rules.ratings_summary.output.summary, model=plan.rated),
