# Orders pytest's tests as APPRENTICE_ORDER says, and leaves a mark that it did.
import hashlib
import os

import pytest


def digest(order, text):
    return hashlib.sha256((order + "\n" + text).encode("utf-8", "replace")).hexdigest()


# First of all plugins, so that pytest still keeps together what shares a costly fixture.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    order = os.environ["APPRENTICE_ORDER"]
    if order == "reversed":
        items.reverse()
    else:
        items.sort(key=lambda item: (digest(order, item.nodeid.split("::")[0]), digest(order, item.nodeid)))
    open(os.path.join(os.environ["APPRENTICE_ORDER_AT"], "mark"), "w").close()
