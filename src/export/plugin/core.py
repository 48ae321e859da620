# Written by `apprentice trajectory export`, beside the data that it belongs to.
#
# The step reward of SRL: how alike the student's action and the expert's are, by
# CPython's difflib.SequenceMatcher(None, student, expert).ratio(), in [0, 1], and
# -1 for a reply that is not exactly one <think>...</think>, a thought and an action.
#
# One `apprentice reward` serves each process of the trainer over a pipe. Where the
# program is not found (set APPRENTICE to its path), Python's own difflib gives the
# same number, bit for bit, and takes longer. Needs nothing but the standard library.
import atexit
import difflib
import json
import os
import shutil
import subprocess
import threading

SCOPE = "@SCOPE@"
AUTOJUNK = False
MALFORMED = -1.0

# What Unicode calls white space; str.strip() would take four control characters, too.
WHITE = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
    "\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)


def step_reward(reply, expert):
    """What a reply earns where the expert did `expert`."""
    action = read_action(_text(reply))
    return MALFORMED if action is None else similarity(_text(expert), action)


def read_action(reply):
    """The action of a well-formed reply, else None."""
    reply = reply.lstrip(WHITE)
    if not reply.startswith("<think>"):
        return None
    thought, closed, action = reply[len("<think>") :].partition("</think>")
    if not closed or any(tag in part for tag in ("<think>", "</think>") for part in (thought, action)):
        return None
    thought, action = thought.strip(WHITE), action.strip(WHITE)
    return action if thought and action else None


def similarity(expert, student):
    """How alike two actions are."""
    expert, student = _compared(expert.strip(WHITE)), _compared(student.strip(WHITE))
    found = _ask(expert, student)
    if found is None:
        found = difflib.SequenceMatcher(None, student, expert, autojunk=AUTOJUNK).ratio()
    return found


def _compared(action):
    if SCOPE != "wrapped":
        return action
    if action == "submit":
        return "<function=submit>\n</function>"
    return f"<function=bash>\n<parameter=command>{action}</parameter>\n</function>"


def _text(value):
    # Half a surrogate pair is no text: both ways of comparing would stumble over it.
    return str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_lock = threading.Lock()
_process = None
_absent = False


def _ask(expert, student):
    """The program's answer; None where there is none."""
    global _process, _absent
    line = json.dumps({"expert": expert, "student": student}) + "\n"
    with _lock:
        # Twice, because a program that was ended may be started again.
        for _ in range(2):
            if _absent or not _start():
                return None
            try:
                _process.stdin.write(line.encode("ascii"))
                _process.stdin.flush()
                return json.loads(_process.stdout.readline())["reward"]
            except (OSError, ValueError, KeyError):
                _stop()
        _absent = True
        return None


def _start():
    global _process, _absent
    if _process is not None:
        return True
    program = os.environ.get("APPRENTICE") or shutil.which("apprentice")
    if not program:
        _absent = True
        return False
    arguments = [program, "reward"] + (["--autojunk"] if AUTOJUNK else [])
    try:
        _process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except OSError:
        _absent = True
        return False
    return True


@atexit.register
def _stop():
    global _process
    if _process is not None:
        _process.kill()
        try:
            _process.stdin.close()
        except OSError:
            pass
        _process.wait()
        _process.stdout.close()
    _process = None


def _forget():
    global _process, _lock
    _process, _lock = None, threading.Lock()


# A forked child must not share its parent's pipe, nor a lock that a thread holds there.
os.register_at_fork(after_in_child=_forget)
