"""math-verify on answers: reads [{gold, response}] from a file, and prints for each turn the verdicts and the seconds.

    python reference.py CASES.json ROUNDS
"""

import json
import logging
import sys
import time
from pathlib import Path

from math_verify import parse, verify

# What it cannot parse it reports as a warning with a traceback.
logging.disable(logging.CRITICAL)


def judge(case):
    return bool(verify(parse(f"${case['gold']}$"), parse(case["response"])))


def main():
    cases, rounds = json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])
    # Imports and caches of the first call are a process's, not an answer's.
    judge(cases[0])
    for _ in range(rounds):
        begin = time.perf_counter()
        verdicts = [judge(case) for case in cases]
        print(json.dumps({"verdicts": verdicts, "seconds": time.perf_counter() - begin}), flush=True)


main()
