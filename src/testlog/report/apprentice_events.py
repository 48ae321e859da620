"""Tells a grader of each test: one JSON line at a session's begin, collection and end, and at each test's
start, phases and finish.

Written to the file that APPRENTICE_REPORT names; does nothing without it. The variable is taken away, so that
pytest within a test tells nothing. Runs with pytest 3.4 and later, on Python 2.7 and later, with pytest-xdist too.
"""

import json
import os

import pytest


def pytest_configure(config):
    path = os.environ.pop("APPRENTICE_REPORT", None)
    # A worker of pytest-xdist is not the one that reports: its controller hears everything.
    if path and not hasattr(config, "workerinput") and not hasattr(config, "slaveinput"):
        config.pluginmanager.register(Events(path), "apprentice-events")


class Events(object):
    def __init__(self, path):
        self.descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        self.process = os.getpid()
        self.collected = set()
        self.tell(event="begin")

    def tell(self, **event):
        # A test that forks has a copy of this object.
        if os.getpid() != self.process:
            return
        line = (json.dumps(event) + "\n").encode("ascii")
        while line:
            line = line[os.write(self.descriptor, line) :]

    def pytest_collection_finish(self, session):
        self.collect(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node, ids):
        self.collect(ids)

    def collect(self, ids):
        self.collected.update(ids)
        self.tell(event="collected", tests=len(self.collected))

    def pytest_collectreport(self, report):
        if report.failed:
            self.tell(event="broken", id=report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid):
        self.tell(event="start", id=nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report):
        self.tell(
            event="phase",
            id=report.nodeid,
            when=report.when,
            outcome=report.outcome,
            xfail=hasattr(report, "wasxfail"),
        )

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self, nodeid):
        self.tell(event="finish", id=nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self):
        self.tell(event="end")
