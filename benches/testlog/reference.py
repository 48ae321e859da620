"""The reference's parsers on logs: reads [{parser, log}] from a file, and prints for each the statuses and the
seconds of one call, the median of `rounds` turns of `calls` calls.

    python reference.py CASES.json ROUNDS
"""

import importlib
import json
import statistics
import sys
import time
import types
from pathlib import Path


def parsers():
    import swebench

    # The package of the harness imports Docker's client and more, of which parsers need nothing.
    harness = types.ModuleType("swebench.harness")
    harness.__path__ = [str(Path(swebench.__file__).parent / "harness")]
    sys.modules["swebench.harness"] = harness
    return importlib.import_module("swebench.harness.log_parsers")


def main():
    cases, rounds = json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])
    module = parsers()
    for case in cases:
        parse, log = getattr(module, case["parser"]), case["log"]
        begin = time.perf_counter()
        found = parse(log, None)
        # Half a second a turn, so that a call that takes microseconds is measured too.
        calls = max(1, int(case["turn_seconds"] / max(time.perf_counter() - begin, 1e-6)))
        seconds = []
        for _ in range(rounds):
            begin = time.perf_counter()
            for _ in range(calls):
                parse(log, None)
            seconds.append((time.perf_counter() - begin) / calls)
        print(json.dumps({"statuses": found, "seconds": statistics.median(seconds)}), flush=True)


main()
