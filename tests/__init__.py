"""Tests: run with trial."""

from tests.support.properties import set_up

set_up()
