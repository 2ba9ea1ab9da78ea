"""The real scheduler in the simulator: the figures it has to keep, and the simulator itself."""

from __future__ import annotations

import argparse
import contextlib
import io
from dataclasses import replace
from math import inf
from pathlib import Path
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.scheduling.messages import MIB
from aprp.core.scheduling.ratings import Ratings
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.simulator import command, ideal
from aprp.simulator.measure import Row, measure
from aprp.simulator.mirror import Mirror
from aprp.simulator.network import Network
from aprp.simulator.run import run_together
from aprp.simulator.scenarios import MB, Scenario, mirrors, named, random_set
from aprp.simulator.table import OURS, PAIRS, Pair, percentile, simulate
from aprp.simulator.transfer import SimulatedTransfer

SCENARIOS = {scenario.name: scenario for scenario in named()}

HARD = {
    # the window holds less than a latency's worth of all rates; the bound knows no window
    "8@5 8@50 8@200, window 4 MiB": 1.25,
    # eight connections have to be learned first, and then leave no room for pipelining
    "eight connections of 2 each": 1.08,
    "10 5 1, three blocks": 1.10,
    "10 5 1, slow start": 1.15,
    # the bound knows no file that is over before the rate is found, nor the time to learn
    "20@50, 3 MB, HTTP/1.1": 1.65,
    "20@50, 3 MB, HTTP/2": 1.13,
    "20@30, 1% loss, HTTP/1.1": 1.09,
    "20@30, 1% loss, HTTP/2": 1.11,
}


def row(scenario: Scenario, pair: Pair = OURS) -> Row:
    return measure(simulate(scenario, pair), scenario.drain)


def connected(scenario: Scenario, ratings: Ratings) -> Network:
    """The network of a simulated transfer, once it has ended."""
    network = Network(scenario.mirrors, ratings=ratings)
    transfer = SimulatedTransfer(network, scenario.size, SchedulingSettings())
    run_together(network, [transfer])
    return network


class NamedTests(SynchronousTestCase):
    def test_without_faults(self) -> None:
        for scenario in SCENARIOS.values():
            if scenario.faulty:
                continue
            got = row(scenario)
            far = max(mirror.latency for mirror in scenario.mirrors) > 0.03
            most = HARD.get(scenario.name, 1.03 if far else 1.01)
            self.assertLessEqual(got.over_bound, most, scenario.name)
            self.assertLessEqual(got.first, 0.05, scenario.name)
            self.assertLessEqual(got.gap, 0.15, scenario.name)
            self.assertLessEqual(got.buffer, scenario.window, scenario.name)
            if scenario.name not in HARD:
                self.assertLessEqual(got.start_delay, 0.7, scenario.name)
                self.assertLessEqual(got.twice, 0.005, scenario.name)
                self.assertLessEqual(got.over_fastest, 1.01, scenario.name)

    def test_with_faults(self) -> None:
        for scenario in SCENARIOS.values():
            if scenario.faulty:
                got = row(scenario)
                self.assertLessEqual(got.over_bound, 1.05, scenario.name)
                self.assertLessEqual(got.gap, 0.4, scenario.name)
                self.assertLessEqual(got.twice, 0.02, scenario.name)

    def test_no_older_policy_is_ahead(self) -> None:
        for name in ("8 8 8", "10 5 1", "10 0.3", "20 2 2 2", "9@60 4@180 2@30"):
            ours = row(SCENARIOS[name])
            for pair in PAIRS[1:]:
                theirs = row(SCENARIOS[name], pair)
                self.assertGreater(theirs.over_bound, ours.over_bound * 0.98, f"{name} {pair}")

    def test_connections_limited_each_are_all_used_once_known(self) -> None:
        scenario = SCENARIOS["eight connections of 2 each"]
        ratings = Ratings()
        simulate(scenario, ratings=ratings)
        self.assertEqual(ratings.of("a").lanes, 8)
        known = measure(simulate(scenario, ratings=ratings))
        self.assertLess(known.over_bound, 1.06)

    def test_one_connection_is_used_alone_where_it_is_as_fast(self) -> None:
        mirror = replace(mirrors(20, latency=50)[0], shared=True, connections=8)
        scenario = Scenario("shared", (mirror,))
        ratings = Ratings()
        first, again = connected(scenario, ratings), connected(scenario, ratings)
        self.assertEqual((first.connections, again.connections), (4, 1))
        self.assertEqual(ratings.of("a").lanes, 1)

    def test_a_lossy_line_gets_as_many_as_over_http1(self) -> None:
        ratings = Ratings()
        network = connected(SCENARIOS["20@30, 1% loss, HTTP/2"], ratings)
        self.assertEqual((network.connections, ratings.of("a").lanes), (8, 8))

    def test_random_losses_cost_little_more_than_with_all_connections_from_the_start(self) -> None:
        """Losses that come at random make rates swing, so that a gain is harder to see."""
        for latency, loss in ((20, 0.001), (50, 0.01)):
            line = mirrors(20, latency=latency)[0]
            mirror = replace(line, slow_start=True, loss=loss, shared=True)
            scenario = Scenario("random losses", (mirror,), size=16 * MB)
            known = Ratings()
            known.of("a").lanes = 4
            best, learned = (simulate(scenario, ratings=each).done for each in (known, Ratings()))
            self.assertLess(learned, 1.3 * best, (latency, loss))

    def test_a_short_file_comes_sooner_over_one_connection_that_is_known(self) -> None:
        seconds = {}
        for version in ("HTTP/1.1", "HTTP/2"):
            ratings = Ratings()
            scenario = SCENARIOS[f"20@50, 3 MB, {version}"]
            simulate(scenario, ratings=ratings)
            seconds[version] = measure(simulate(scenario, ratings=ratings)).seconds
        self.assertLess(seconds["HTTP/2"], 0.8 * seconds["HTTP/1.1"])

    def test_names_of_one_bottleneck_are_no_more_than_one(self) -> None:
        ratings = Ratings()
        simulate(SCENARIOS["two names for one bottleneck"], ratings=ratings)
        self.assertEqual([ratings.of(name).lanes for name in "ab"], [1, 1])

    def test_a_slow_client_stops_the_asking(self) -> None:
        scenario = replace(SCENARIOS["10 5 1, slow client at 4"], drain=0.2 * MB, size=20 * MB)
        self.assertLess(row(scenario).buffer, 4 * MIB)


class RandomTests(SynchronousTestCase):
    def rows(self, name: str, count: int = 24) -> list[Row]:
        return [row(scenario) for scenario in random_set(name, count)]

    def check(self, rows: list[Row], p90: float, worst: float, gap: float) -> None:
        bounds = sorted(got.over_bound for got in rows)
        self.assertLessEqual(percentile(bounds, 0.9), p90)
        self.assertLessEqual(bounds[-1], worst)
        self.assertLessEqual(max(got.gap for got in rows), gap)
        self.assertLessEqual(max(got.twice for got in rows), 0.02)
        self.assertLessEqual(max(got.first for got in rows), 0.05)

    def test_plain(self) -> None:
        rows = self.rows("random")
        self.check(rows, 1.025, 1.04, 0.15)
        self.assertLessEqual(max(got.start_delay for got in rows), 0.7)

    def test_jitter(self) -> None:
        self.check(self.rows("random jitter", 16), 1.06, 1.08, 0.15)

    def test_kill(self) -> None:
        self.check(self.rows("random kill"), 1.025, 1.03, 0.25)

    def test_stall(self) -> None:
        self.check(self.rows("random stall", 16), 1.04, 1.06, 0.4)

    def test_shuffle(self) -> None:
        self.check(self.rows("random shuffle", 16), 1.09, 1.14, 0.2)


class SimulatorTests(SynchronousTestCase):
    def test_the_same_seed_gives_the_same_trace(self) -> None:
        scenario = next(random_set("random jitter", 1, 3))
        first, again = simulate(scenario), simulate(scenario)
        self.assertEqual(first.delivered, again.delivered)
        self.assertEqual(first.lines, again.lines)

    def test_one_source_alone_takes_what_it_takes(self) -> None:
        scenario = Scenario("one", mirrors(10), size=10 * MB)
        got = row(scenario)
        self.assertApproximates(got.seconds, 0.04 + 1.0, 0.01)

    def test_nothing_can_be_done_without_a_source(self) -> None:
        dead = tuple(replace(mirror, dies_at=0.0) for mirror in mirrors(10, 5))
        trace = simulate(Scenario("dead", dead))
        self.assertEqual([name for name, _ in trace.failed or ()], ["a", "b"])
        self.assertEqual(measure(trace).seconds, inf)

    def test_the_last_source_left_is_enough(self) -> None:
        three = mirrors(10, 5, 1)
        killed = (replace(three[0], dies_at=0.3), replace(three[1], dies_at=0.6), three[2])
        self.assertLess(row(Scenario("two die", killed, size=10 * MB)).over_bound, 1.05)

    def test_the_bound_follows_changing_rates(self) -> None:
        mirror = Mirror("a", 10 * MB, 0.02, changes=((1.04, 0.0), (2.04, 20 * MB)))
        self.assertApproximates(ideal.bound([mirror], 30 * MB), 3.04, 0.001)

    def test_the_bound_knows_the_ramp(self) -> None:
        slow = Mirror("a", 10 * MB, 0.1, slow_start=True)
        self.assertGreater(ideal.bound([slow], MB), ideal.bound([Mirror("a", 10 * MB, 0.1)], MB))


class CommandTests(SynchronousTestCase):
    def run_command(self, *arguments: str) -> tuple[int, str]:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            status = command.run(parser.parse_args(arguments))
        return status, out.getvalue()

    def test_a_row_for_each_pair_of_policies(self) -> None:
        status, out = self.run_command("--scenario", "10 5 1, three blocks")
        self.assertEqual((status, len(out.splitlines())), (0, 1 + len(PAIRS)))

    def test_csv(self) -> None:
        status, out = self.run_command("--scenario", "three blocks", "--csv", "--delay", "inv")
        heading, line = out.splitlines()
        self.assertEqual(status, 0)
        self.assertTrue(heading.startswith("scenario,delay,duplicate,seconds"))
        self.assertTrue(line.startswith('"10 5 1, three blocks",inv,adaptive,'))

    def test_plot(self) -> None:
        path = Path(self.mktemp())
        status, _ = self.run_command("--scenario", "three blocks", "--plot", str(path))
        self.assertEqual(status, 0)
        lines = ElementTree.parse(path).getroot().findall("{http://www.w3.org/2000/svg}polyline")
        self.assertGreater(len(lines), 6)

    def test_random_sets_are_summed_up(self) -> None:
        status, out = self.run_command(
            "--random", "2", "--scenario", "random kill", "--delay", "adaptive"
        )
        self.assertEqual((status, len(out.splitlines())), (0, 2))

    def test_names(self) -> None:
        self.assertIn("20 2 2 2", self.run_command("--list")[1].splitlines())
        self.assertEqual(self.run_command("--scenario", "nothing like it")[0], 2)
