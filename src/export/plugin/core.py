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
    action = read_action(reply)
    return MALFORMED if action is None else similarity(expert, action)


def read_action(reply):
    """The action of a well-formed reply, else None."""
    reply = _text(reply).lstrip(WHITE)
    if not reply.startswith("<think>"):
        return None
    thought, closed, action = reply[len("<think>") :].partition("</think>")
    if not closed or any(tag in part for tag in ("<think>", "</think>") for part in (thought, action)):
        return None
    thought, action = thought.strip(WHITE), action.strip(WHITE)
    return action if thought and action else None


def similarity(expert, student):
    """How alike two actions are."""
    expert, student = _compared(_text(expert).strip(WHITE)), _compared(_text(student).strip(WHITE))
    found = _server.ask(expert, student)
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


class _Server:
    """One `apprentice reward` on a pipe, started when it is first asked."""

    def __init__(self):
        self.lock = threading.Lock()
        self.process = None
        self.absent = False

    def __reduce__(self):
        # A trainer may send the reward to its workers: each gets a server of its own.
        return (type(self), ())

    def ask(self, expert, student):
        """The program's answer; None where there is none."""
        line = json.dumps({"expert": expert, "student": student}) + "\n"
        with self.lock:
            # Twice, because a program that was ended may be started again.
            for _ in range(2):
                if not self.start():
                    return None
                try:
                    self.process.stdin.write(line.encode("ascii"))
                    self.process.stdin.flush()
                    return json.loads(self.process.stdout.readline())["reward"]
                except (OSError, ValueError, KeyError):
                    self.stop()
            self.absent = True
            return None

    def start(self):
        if self.process is not None:
            return True
        program = os.environ.get("APPRENTICE") or shutil.which("apprentice")
        if self.absent or not program:
            self.absent = True
            return False
        arguments = [program, "reward"] + (["--autojunk"] if AUTOJUNK else [])
        try:
            self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError:
            self.absent = True
        return self.process is not None

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                try:
                    pipe.close()
                except OSError:
                    pass
        self.process = None


_server = _Server()
atexit.register(lambda: _server.stop())
# A forked child must not share its parent's pipe, nor a lock that a thread holds there.
os.register_at_fork(after_in_child=lambda: _server.__init__())
