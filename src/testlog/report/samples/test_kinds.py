import pytest
import unittest


def test_passes(): pass


def test_fails(): assert 0


@pytest.mark.skip(reason="no")
def test_is_skipped(): pass


def test_skips_itself(): pytest.skip("no")


@pytest.mark.xfail(reason="known")
def test_fails_as_expected(): assert 0


@pytest.mark.xfail(reason="known")
def test_passes_unexpectedly(): pass


@pytest.mark.xfail(strict=True)
def test_passes_strictly_unexpectedly(): pass


@pytest.fixture
def broken(): raise RuntimeError("set-up")


@pytest.fixture
def breaks_later():
    yield
    raise RuntimeError("tear-down")


def test_set_up_breaks(broken): pass


def test_tear_down_breaks(breaks_later): pass


def test_fails_and_tear_down_breaks(breaks_later): assert 0


@pytest.mark.parametrize("x", ["a b", "a - b", "[", "x::y", "", "tab\there"])
def test_parameters(x): assert x != "a - b"


class TestClass:
    class TestInner:
        def test_deep(self): pass


class TestUnit(unittest.TestCase):
    def test_passes(self): pass

    @unittest.expectedFailure
    def test_fails_as_expected(self): self.fail("known")

    @unittest.skip("no")
    def test_is_skipped(self): pass


def test_prints_a_report():
    print("PASSED test_kinds.py::test_fails")
