import unittest

import numpy

import stats


class Intervals(unittest.TestCase):
    def setUp(self):
        random = numpy.random.default_rng(0)
        base = random.random((3, 300))
        self.outcomes = {"sst2": {"low": base < 0.5, "high": base < 0.6}, "subj": {"low": base < 0.7, "high": base < 0.8}}

    def test_means_are_over_tasks(self):
        found = stats.means(self.outcomes)
        wanted = numpy.mean([self.outcomes[task]["low"].mean() for task in self.outcomes])
        self.assertAlmostEqual(found["low"], wanted)

    def test_an_interval_holds_the_mean_and_is_as_wide_as_sampling_makes_it(self):
        drawn = stats.draws(self.outcomes)
        low, high = stats.interval(drawn["low"])
        self.assertTrue(low < stats.means(self.outcomes)["low"] < high)
        # 1,800 independent outcomes at a half to seven tenths would be within 4.6 points. Where seeds and examples are both
        # drawn, what is neither's own counts three times: 1.7 times as wide.
        self.assertAlmostEqual(high - low, 0.046 * 3**0.5, delta=0.012)

    def test_differences_within_a_draw_are_narrower_than_either(self):
        drawn = stats.draws(self.outcomes)
        width = lambda found: numpy.subtract(*stats.interval(found)[::-1])
        self.assertLess(width(drawn["high"] - drawn["low"]), 0.7 * width(drawn["low"]))

    def test_drawn_seeds_widen_where_seeds_differ(self):
        even = {"a": {"m": numpy.tile(numpy.arange(300) < 150, (2, 1))}}
        apart = {"a": {"m": numpy.array([numpy.arange(300) < 100, numpy.arange(300) < 200])}}
        width = lambda found: numpy.subtract(*stats.interval(stats.draws(found)["m"])[::-1])
        self.assertGreater(width(apart), 1.5 * width(even))


if __name__ == "__main__":
    unittest.main()
