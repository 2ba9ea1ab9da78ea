"""Makes ``twistd aprp`` known to Twisted."""

from twisted.application.service import ServiceMaker

aprp = ServiceMaker(
    "aprp",
    "aprp.daemon.service",
    "A range proxy: one upstream or many mirrors, one ordered HTTP response.",
    "aprp",
)
