# Which segments, of the pool and of data sets, a rule reads. Where sizes count instances they are
# known once these are counted: a rule that reads them also depends on what counts them, a
# checkpoint, after which its segments are asked for anew.


def axes_of(wildcards):
    """A job's own model and method, or else all of them."""
    return {
        "model": [wildcards.model] if "model" in wildcards.keys() else plan.models,
        "method": [wildcards.method] if "method" in wildcards.keys() else plan.methods,
    }


def earlier_segments(wildcards):
    """The pool as it stood before a segment."""
    before = range(int(wildcards.segment))
    return expand(rules.instructions_segment.output.segment, model=wildcards.model, segment=before)


def first_segment(wildcards):
    """The segment of the pool that PPO reads."""
    return expand(rules.instructions_segment.output.segment, model=wildcards.model, segment=0)


def counts_of(model, data_set):
    """What counts a data set's instances, by the last segment that it counts."""
    pattern = rules.instances_counted.output.counts

    def place(last):
        return expand(pattern, model=model, method=data_set, segment=last)[0]

    return place


def counted_segments(wildcards):
    """The segments that are counted."""
    up_to = plan.segments.counted_up_to(int(wildcards.segment))
    return expand(rules.instances_segment.output.segment, segment=up_to, **axes_of(wildcards))


def of_pools(pattern, wildcards):
    """The files of all segments of the pool, of the job's model or of all, model by model."""
    return [
        path
        for model in axes_of(wildcards)["model"]
        for path in expand(
            pattern,
            model=model,
            segment=plan.segments.pool(
                [counts_of(model, name) for name in plan.replicates.data_sets]
            ),
        )
    ]


def of_data_sets(pattern, models, data_sets, size):
    """The files of the segments that hold a size of some data sets, one data set after another."""
    return [
        path
        for model in models
        for name in data_sets
        for path in expand(
            pattern,
            model=model,
            method=name,
            segment=plan.segments.holding(size, counts_of(model, name)),
        )
    ]


def counted(models, data_sets, size):
    """What tells which segments these are: no file where sizes count instructions."""
    return [
        path
        for model in models
        for name in data_sets
        for path in plan.segments.counted(size, counts_of(model, name))
    ]


def pool_segments(wildcards):
    """The pool's segments, as folders."""
    return of_pools(rules.instructions_segment.output.segment, wildcards)


def pool_parses(wildcards):
    """Their parses."""
    return of_pools(rules.diversity_parses.output.parses, wildcards)


def counted_pools(wildcards):
    """What tells it of the pool's."""
    return counted(axes_of(wildcards)["model"], plan.replicates.data_sets, max(plan.sizes))


def data_segments(wildcards):
    """The segments of the whole data set, or of all methods', as folders."""
    pattern = rules.instances_segment.output.segment
    models, methods = axes_of(wildcards).values()
    return of_data_sets(pattern, models, methods, max(plan.sizes))


def data_overlaps(wildcards):
    """What the same instances share with the evaluation sets."""
    models, methods = axes_of(wildcards).values()
    return of_data_sets(rules.overlap.output.overlap, models, methods, max(plan.sizes))


def counted_data(wildcards):
    """What tells it of the whole data set's, or of all methods'."""
    return counted(*axes_of(wildcards).values(), max(plan.sizes))


def training_segments(wildcards):
    """The instances of a cell's size, in whole segments."""
    cell = plan.replicates.cell(wildcards)
    pattern = rules.instances_segment.output.segment
    return of_data_sets(pattern, [wildcards.model], [cell.data_set], cell.size)


def training_overlaps(wildcards):
    """What the same instances share with the evaluation sets, where it decides what stays."""
    if not experiment.sft.remove_overlap:
        return []
    cell = plan.replicates.cell(wildcards)
    pattern = rules.overlap.output.overlap
    return of_data_sets(pattern, [wildcards.model], [cell.data_set], cell.size)


def counted_training(wildcards):
    """What tells it of a cell's size."""
    cell = plan.replicates.cell(wildcards)
    return counted([wildcards.model], [cell.data_set], cell.size)


def reviewed_methods():
    """The methods whose instances people review."""
    page = experiment.ratings.page
    return [name for name in page.methods if name in plan.methods] if page.instances else []


def reviewed_segments(wildcards):
    """The instances that people review: of the rated size, in whole segments."""
    pattern = rules.instances_segment.output.segment
    return of_data_sets(pattern, [wildcards.model], reviewed_methods(), plan.rated_size)


def counted_reviewed(wildcards):
    """What tells it of the instances that people review."""
    return counted([wildcards.model], reviewed_methods(), plan.rated_size)
