"""Means over tasks, seeds and test examples, with intervals that resample seeds and examples.

The same test examples are answered by all methods and seeds, and the same seeds (with the same pools) are run by all methods.
So both are clusters: a draw takes examples and seeds with replacement within each task, the same for every method, and each
draw gives one mean for each method. Differences are taken within a draw. The intervals are wide rather than narrow: chance
that belongs to neither seed nor example counts three times (Owen 2007, "The pigeonhole bootstrap").
"""

import numpy

DRAWS = 4000


def draws(outcomes, seed=1, count=DRAWS):
    """{method: array of one mean a draw} from {task: {method: array (seeds, examples) of 0 and 1}}."""
    random, means = numpy.random.default_rng(seed), {}
    for task in sorted(outcomes):
        methods = outcomes[task]
        seeds, examples = next(iter(methods.values())).shape
        by_seed = random.multinomial(seeds, numpy.full(seeds, 1 / seeds), count) / seeds
        by_example = random.multinomial(examples, numpy.full(examples, 1 / examples), count) / examples
        for method, right in methods.items():
            assert right.shape == (seeds, examples), "each method must have the same seeds and examples"
            drawn = numpy.einsum("bs,se,be->b", by_seed, right.astype(float), by_example, optimize=True)
            means.setdefault(method, []).append(drawn)
    return {method: numpy.mean(parts, axis=0) for method, parts in means.items()}


def means(outcomes):
    """{method: the mean over tasks of its means}."""
    methods = next(iter(outcomes.values()))
    return {method: float(numpy.mean([task[method].mean() for task in outcomes.values()])) for method in methods}


def interval(drawn):
    """The middle 95%."""
    low, high = numpy.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)
