"""The numbers on the axes of plots."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.simulator.plot import svg
from aprp.simulator.scenarios import named
from aprp.simulator.table import PAIRS, simulate
from aprp.simulator.ticks import MOST, ticks

TEXT = "{http://www.w3.org/2000/svg}text"


class TickTests(SynchronousTestCase):
    def test_examples(self) -> None:
        for end, labels in (
            (1.0, "0.0 0.2 0.4 0.6 0.8 1.0"),
            (3.2, "0.0 0.5 1.0 1.5 2.0 2.5 3.0"),
            (11.78, "0 2 4 6 8 10"),
            (95.4, "0 20 40 60 80"),
            (0.0301, "0.000 0.005 0.010 0.015 0.020 0.025 0.030"),
            (7.0, "0 2 4 6"),
            (1234.0, "0 200 400 600 800 1000 1200"),
        ):
            self.assertEqual(" ".join(label for _, label in ticks(end)), labels, end)

    @given(st.floats(1e-6, 1e12))
    def test_they_are_few_and_round_and_within(self, end: float) -> None:
        found = ticks(end)
        places, labels = zip(*found, strict=True)
        self.assertEqual(places[0], 0.0)
        self.assertTrue(2 <= len(places) - 1 <= MOST, found)
        self.assertLessEqual(places[-1], end)
        self.assertEqual(len(set(labels)), len(labels))
        self.assertIn(f"{places[1]:e}".partition("e")[0].rstrip("0"), ("1.", "2.", "5."))
        for place, label in found:
            self.assertAlmostEqual(float(label) / places[1], place / places[1], places=6)

    def test_a_plot_has_them(self) -> None:
        trace = simulate(named()[0], PAIRS[0])
        picture = ElementTree.fromstring(svg(trace, "a plot"))
        texts = {each.text for each in picture.iter(TEXT)}
        seconds = max(time for time, _ in trace.delivered)
        self.assertLessEqual({label for _, label in ticks(seconds)}, texts)
