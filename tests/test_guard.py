"""The guard before connections for strangers, and connections to the judged addresses alone."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.fields import Fields
from aprp.core.http.urls import Url
from aprp.upstream.errors import ConnectFailed, SourceError
from aprp.upstream.exchange import Origin, SourceRequest, Timeouts
from aprp.upstream.http.agent import Agent
from aprp.upstream.http.guard import AddressRefused, Guard, OwnListener
from aprp.upstream.http.names import Addresses


class TableNames:
    """Names from a table; a name that is looked up twice gets its next answer."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def lookup(self, host: str, seconds: float, asker: str | None = None) -> Deferred[Addresses]:
        self.asked.append(host)
        answers = self.answers.get(host.replace(".", "_"), [[]])
        found = tuple(answers.pop(0) if len(answers) > 1 else answers[0])
        if found:
            return succeed(found)
        return fail(ConnectFailed(host, ": the name has no address", kind="dns_error"))


class GuardTests(SynchronousTestCase):
    def origin(self, url: str, names: TableNames | None = None, **options: Any) -> Origin:
        guard = Guard(names or TableNames(), **options)
        return self.successResultOf(Deferred.fromCoroutine(guard.origin(Url.parse(url))))

    def refusal(self, url: str, names: TableNames | None = None, **options: Any) -> SourceError:
        guard = Guard(names or TableNames(), **options)
        failure = self.failureResultOf(Deferred.fromCoroutine(guard.origin(Url.parse(url))))
        assert isinstance(failure.value, SourceError)
        return failure.value

    def test_a_name_is_resolved_once_and_keeps_its_addresses(self) -> None:
        names = TableNames(a_example=[["1.1.1.1", "2606:4700::1111"]])
        origin = self.origin("https://a.example/x", names)
        self.assertEqual(origin.addresses, ("1.1.1.1", "2606:4700::1111"))
        self.assertEqual((origin.host, origin.port), ("a.example", 443))
        self.assertEqual(names.asked, ["a.example"])

    def test_one_bad_address_refuses_the_name(self) -> None:
        error = self.refusal("http://a.example/", TableNames(a_example=[["1.1.1.1", "10.0.0.1"]]))
        self.assertIsInstance(error, AddressRefused)
        self.assertEqual(
            str(error), "a.example: its address 10.0.0.1 may not be reached: it is private"
        )

    def test_the_setting_that_would_admit_it_is_for_the_operator(self) -> None:
        names = TableNames(a_example=[["10.0.0.1"]])
        error = self.refusal("http://a.example/", names, setting="allow_addresses")
        self.assertTrue(
            str(error).endswith("private; to allow it, list its network in allow_addresses")
        )
        self.assertEqual(
            error.reason.told("a.example"),
            "a.example: its address may not be reached: it is private",
        )

    def test_literals_are_judged_without_a_resolver(self) -> None:
        names = TableNames()
        self.assertIsInstance(self.refusal("http://[::1]/", names), AddressRefused)
        self.assertIsInstance(self.refusal("http://169.254.169.254/", names), AddressRefused)
        self.assertEqual(self.origin("http://1.1.1.1/", names).addresses, ("1.1.1.1",))
        self.assertEqual(names.asked, [])

    def test_listed_networks_are_open(self) -> None:
        allow = (ip_network("127.0.0.0/8"),)
        self.assertEqual(
            self.origin("http://127.0.0.5:8080/", allow=allow).addresses, ("127.0.0.5",)
        )

    def test_ports(self) -> None:
        self.assertEqual(
            str(self.refusal("http://1.1.1.1:25/")),
            "1.1.1.1: port 25 isn't 80, 443 or at least 1024",
        )

    def test_a_name_without_address(self) -> None:
        self.assertIsInstance(self.refusal("http://none.example/"), ConnectFailed)

    def test_own_listeners(self) -> None:
        allow = (ip_network("127.0.0.0/8"), ip_network("::/0"))
        for listening, url in (
            (("127.0.0.1", 8000), "http://127.0.0.1:8000/"),
            (("0.0.0.0", 8000), "http://127.0.0.9:8000/"),
            (("0.0.0.0", 8000), "http://[::ffff:127.0.0.1]:8000/"),
            (("::", 8000), "http://127.0.0.1:8000/"),
        ):
            error = self.refusal(url, allow=allow, listening=lambda at=listening: [at])
            self.assertIsInstance(error, OwnListener, url)

    def test_what_only_resembles_an_own_listener(self) -> None:
        allow = (ip_network("127.0.0.0/8"),)
        for listening, url in (
            (("127.0.0.1", 8000), "http://127.0.0.2:8000/"),
            (("127.0.0.1", 8000), "http://127.0.0.1:8001/"),
            (("0.0.0.0", 8000), "http://1.1.1.1:8000/"),
        ):
            self.origin(url, allow=allow, listening=lambda at=listening: [at])


class PinnedTests(SynchronousTestCase):
    def test_the_agent_connects_to_the_judged_address_alone(self) -> None:
        """The second answer of the name is a private one: it is never asked for."""
        names = TableNames(a_example=[["1.1.1.1", "1.0.0.1"], ["10.0.0.1"]])
        reactor: Any = MemoryReactorClock()
        url = Url.parse("http://a.example:8080/")
        guard = Guard(names)
        origin = self.successResultOf(Deferred.fromCoroutine(guard.origin(url)))
        request = SourceRequest(b"GET", origin, b"/", Fields(()), Timeouts(5, 5, 5))
        opened = Deferred.fromCoroutine(Agent(reactor).open(request))
        reactor.advance(0.4)
        self.assertEqual(
            [client[:2] for client in reactor.tcpClients], [("1.1.1.1", 8080), ("1.0.0.1", 8080)]
        )
        self.assertEqual(names.asked, ["a.example"])
        opened.cancel()
        self.failureResultOf(opened)
