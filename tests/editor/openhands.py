"""Asks OpenHands' own editor what it says, and writes the table that tests/editor.rs compares with.

Run with the published package: `pip install openhands-aci==0.3.3 chardet==5.2.0 charset-normalizer==3.4.3`, then `python openhands.py > openhands.json`.
Every case starts in an empty directory with the given files, makes its calls in one editor, and
records each output, and what the files hold in the end; a
file's bytes are written as characters from 0 to 255. The directory's name is part of the outputs.
"""

import json
import logging
import os
import shutil
import sys

logging.disable(logging.CRITICAL)
from openhands_aci.editor import OHEditor, ToolError  # noqa: E402

ROOT = "/tmp/oh-table"
LONG = "".join(f"line {n:04} of a file that is longer than what is shown\n" for n in range(1, 401))


def text(n, end="\n"):
    return end.join(f"l{i}" for i in range(1, n + 1)) + end


def view(path, *span):
    return {"command": "view", "path": f"{ROOT}/{path}", **({"view_range": list(span)} if span else {})}


def create(path, body):
    return {"command": "create", "path": f"{ROOT}/{path}", "file_text": body}


def replace(path, old, new=None):
    call = {"command": "str_replace", "path": f"{ROOT}/{path}", "old_str": old}
    return call if new is None else {**call, "new_str": new}


def insert(path, line, new):
    return {"command": "insert", "path": f"{ROOT}/{path}", "insert_line": line, "new_str": new}


def undo(path):
    return {"command": "undo_edit", "path": f"{ROOT}/{path}"}


CASES = {
    "view a file": ({"a.py": text(12)}, [view("a.py")]),
    "view without final line end": ({"a": "one\ntwo"}, [view("a"), view("a", 1, 2), view("a", 2, 2), view("a", 2, -1)]),
    "view an empty file": ({"a": ""}, [view("a"), view("a", 1, 1), view("a", 0, -1)]),
    "view ranges": (
        {"a": text(9)},
        [view("a", *span) for span in ((1, 1), (3, 5), (9, 9), (4, -1), (4, 99), (9, 10), (0, 3), (10, 12), (-1, 2), (5, 4), (5, -2))]
        + [{"command": "view", "path": f"{ROOT}/a", "view_range": v} for v in ([], [1], [1, 2, 3])],
    ),
    "view with line ends of others": (
        {"crlf": "a\r\nb\r\nc\r\n", "cr": "a\rb\rc", "mixed": "a\r\nb\nc\r\n", "feed": "a\x0cb\nc\x0bd\ne\u2028f\ng\n"},
        [view("crlf"), view("crlf", 1, 2), view("cr"), view("cr", 2, 3), view("mixed"), view("feed"), view("feed", 1, 3)],
    ),
    "view tabs": ({"Makefile": "all:\n\techo a\tb\n"}, [view("Makefile"), view("Makefile", 2, 2)]),
    "view a long file": ({"a": LONG}, [view("a"), view("a", 1, 390), view("a", 350, 360)]),
    "view a file of exactly the limit": ({"a": "x" * 15999 + "\n", "b": "x" * 16000 + "\n"}, [view("a"), view("b")]),
    "view a directory": (
        {"a.txt": "", "src/b.py": "", "src/deep/c.py": "", "src/deep/er/d.py": "", "src/.hid": "", ".git/HEAD": "", ".env": "", "Z": "", "src/.cache/x": ""},
        [view("."), view("src"), view("src/"), view("src/deep"), view("src", 1, 2)],
    ),
    "view what others made of it": ({"a": "x\n"}, [view("a", 1), {"command": "view", "path": f"{ROOT}/a/b"}, {"command": "create", "path": f"{ROOT}/a/b", "file_text": ""}]),
    "view a directory without hidden ones": ({"d/a": "", "d/b/c": ""}, [view("d"), view("d/b")]),
    "view an empty directory": ({"d/": None}, [view("d")]),
    "view a directory with a space": ({"my dir/a": ""}, [view("my dir")]),
    "view a large directory": ({f"d/a-file-with-a-long-name-{n:04}": "" for n in range(500)}, [view("d")]),
    "paths": (
        {"a": "x\n", "d/b": ""},
        [
            view("missing"), view("./a"), view("d//b"), view("d/../a"), view("a/"),
            {"command": "view", "path": "a"}, {"command": "view", "path": "./d/b"}, {"command": "create", "path": "new", "file_text": ""},
            replace("missing", "a", "b"), insert("missing", 0, "a"), undo("missing"), replace("d", "a", "b"), insert("d", 0, "x"), undo("d"), create("d", "x"),
        ],
    ),
    "create": (
        {"a": "x\n"},
        [create("new.py", "print(1)\n"), view("new.py"), create("a", "y"), create("empty", ""), view("empty"), create("no/parent/x", "y"),
         create("crlf", "a\r\nb\r\n"), create("tab", "\ta\n"), create("uni", "caf\u00e9 \u4f60\u597d\n"), {"command": "create", "path": f"{ROOT}/none"}],
    ),
    "replace once": (
        {"a": text(20)},
        [replace("a", "l10\n", "ten\nten and a half\n"), replace("a", "l1\nl2", "one"), replace("a", "l20\n", "twenty\n"), replace("a", "l15\n"), replace("a", "l16\n", "")],
    ),
    "replace not found": (
        {"a": text(5)},
        [replace("a", "l9", "x"), replace("a", "  l3  ", "  three  "), view("a"), replace("a", "  nope ", " x"), replace("a", "\n\n\nl4\n\n", "\n four \n"), view("a")],
    ),
    "replace many": (
        {"a": "x\ny\nx x\nz x\n", "b": "aaaa\n", "c": "p\nq\np\nq\np\n"},
        [replace("a", "x", "w"), replace("a", " x", "w"), replace("b", "aa", "b"), replace("c", "p\nq", "r"), replace("c", "p\nq\np", "r"), replace("a", "   ", "w")],
    ),
    "replace nothing or the same": (
        {"a": "x\n", "e": ""},
        [replace("a", "", "w"), replace("a", "x", "x"), replace("a", "gone", "gone"), replace("e", "", "w\n"), view("e"), {"command": "str_replace", "path": f"{ROOT}/a", "new_str": "w"}, replace("a", "", "")],
    ),
    "replace near the ends": ({"a": text(3), "b": "one"}, [replace("a", "l1", "L1"), replace("a", "l3", "L3"), replace("b", "one", "two"), replace("a", "L3\n", "L3"), replace("b", "two", "")]),
    "replace keeps tabs": ({"M": "a:\n\techo\n\tls\n"}, [replace("M", "\techo", "\tprintf"), replace("M", "        ls", "        dir"), view("M")]),
    "replace in other line ends": (
        {"crlf": "a\r\nb\r\nc\r\n", "cr": "a\rb\r", "mixed": "a\r\nb\nc"},
        [replace("crlf", "a\nb", "x\ny"), replace("cr", "b", "c"), replace("mixed", "c", "d"), replace("crlf", "c\r\n", "z")],
    ),
    "replace a pattern's characters": ({"a": "f(x)[0].*\\n$^\n"}, [replace("a", "f(x)[0].*\\n$^", "\\1 $0 \\g<1>"), view("a")]),
    "insert": (
        {"a": text(10)},
        [insert("a", 0, "zero"), insert("a", 5, "five and a half"), insert("a", 12, "last"), insert("a", 3, "two\nlines"), insert("a", 3, "ends\n"), insert("a", 1, ""), view("a")],
    ),
    "insert out of range": ({"a": text(3), "e": ""}, [insert("a", 4, "x"), insert("a", -1, "x"), insert("e", 1, "x"), insert("e", 0, "x"), insert("a", 3, "x")]),
    "insert after a last line without end": ({"a": "one\ntwo", "b": "one"}, [insert("a", 2, "three"), view("a"), insert("b", 0, "zero"), view("b"), insert("b", 2, "x")]),
    "insert in other line ends": ({"crlf": "a\r\nb\r\n", "cr": "a\rb"}, [insert("crlf", 1, "x"), view("crlf"), insert("cr", 1, "x\r\ny")]),
    "insert lacks arguments": ({"a": "x\n"}, [{"command": "insert", "path": f"{ROOT}/a", "new_str": "y"}, {"command": "insert", "path": f"{ROOT}/a", "insert_line": 1}]),
    "undo to the beginning": (
        {"a": text(3), "b": "keep\n"},
        [undo("a"), replace("a", "l1", "one"), insert("a", 1, "new"), replace("b", "keep", "kept"), undo("a"), undo("a"), undo("a"), undo("b"), undo("b"), view("a"), view("b")],
    ),
    "undo a creation": ({}, [create("a", "x\n"), undo("a"), undo("a"), view("a"), create("a", "y\n"), replace("a", "x", "z"), undo("a")]),
    "undo remembers ten": ({"a": "0\n"}, [replace("a", str(n), str(n + 1)) for n in range(12)] + [undo("a")] * 11),
    "undo after others wrote": ({"a": "one\ntwo\n"}, [replace("a", "one", "ONE"), insert("a", 2, "three"), undo("a"), replace("a", "ONE\ntwo", "x"), undo("a"), undo("a")]),
    "undo a file without final line end": ({"a": "one\ntwo"}, [insert("a", 1, "x"), undo("a"), view("a")]),
    "undo other line ends": ({"a": "one\r\ntwo\r\n"}, [replace("a", "one", "1"), undo("a")]),
    "binary files": (
        {"nul": b"abc\x00def", "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "ctl": bytes(range(1, 32)) * 8, "ff": b"abc\xff\xfe\xfddef\n"},
        [call for f in ("nul", "png", "ctl", "ff") for call in (view(f), replace(f, "abc", "x"), insert(f, 0, "x"), undo(f))],
    ),
    "documents": ({"a.pdf": b"%PDF-1.4\n", "b.DOCX": b"x"}, [replace("a.pdf", "a", "b"), insert("b.DOCX", 0, "x"), undo("a.pdf"), create("c.pdf", "x")]),
    "huge files": ({"big": b"x" * 63 + b"\n", "huge": (b"y" * 63 + b"\n") * 163840 + b"z"}, [view("huge"), view("huge", 1, 2), replace("huge", "z", "w"), insert("huge", 0, "x"), undo("huge"), view("big")]),
    "ten mebibytes are allowed": ({"huge": (b"y" * 63 + b"\n") * 163840}, [view("huge", 5, 6)]),
    "utf-8": (
        {"zh": "\u4f60\u597d\uff0c\u4e16\u754c\n\u7b2c\u4e8c\u884c\n", "fr": "d\u00e9j\u00e0 vu\nna\u00efve caf\u00e9\n", "emoji": "\U0001f600 ok\n\U0001f680\n", "mix": "print('h\u00e9llo')  # \u2713\n" * 20},
        [call for f in ("zh", "fr", "emoji", "mix") for call in (view(f), insert(f, 1, "\u00fc\u4e2d"), view(f), undo(f))] + [replace("fr", "caf\u00e9", "th\u00e9"), replace("zh", "\u4e16\u754c", "\u5730")],
    ),
    "utf-8 with a mark": ({"bom": b"\xef\xbb\xbfone\ntwo\n"}, [view("bom"), replace("bom", "one", "1"), insert("bom", 0, "zero"), undo("bom")]),
    "one byte a character": ({"latin": "# caf\u00e9 d\u00e9j\u00e0 vu, na\u00efve fa\u00e7ade\nx = 1\n".encode("latin-1") * 4}, [view("latin"), replace("latin", "x = 1\n# caf\u00e9", "y"), insert("latin", 0, "z")]),
    "unknown": ({"a": "x\n"}, [{"command": "delete", "path": f"{ROOT}/a"}, {"command": "view", "path": f"{ROOT}/a", "old_str": "ignored"}]),
    "a fake numbered line": ({"a": "     1\tx\n"}, [view("a"), replace("a", "     1\tx", "y")]),
    "white space only": ({"a": "  \n\n\t\n"}, [replace("a", "\t", "x"), replace("a", " \t ", "x"), replace("a", "\n\n", "\n"), view("a")]),
}


def contents(body):
    return body if isinstance(body, bytes) else body.encode()


def run(files, calls):
    shutil.rmtree(ROOT, ignore_errors=True)
    os.makedirs(ROOT)
    for path, body in files.items():
        full = os.path.join(ROOT, path)
        if body is None:
            os.makedirs(full)
            continue
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as out:
            out.write(contents(body))
    editor = OHEditor(workspace_root=ROOT)
    said = []
    for call in calls:
        try:
            result = editor(**call)
            said.append(f"ERROR:\n{result.error}" if result.error else result.output)
        except ToolError as error:
            said.append(f"ERROR:\n{error.message}")
        except Exception:
            # The original itself breaks down, and what the agent then sees is not the editor's.
            said.append(None)
    after = {}
    for folder, _, names in os.walk(ROOT):
        for name in names:
            full = os.path.join(folder, name)
            after[os.path.relpath(full, ROOT)] = open(full, "rb").read()
    return said, after


def chars(body):
    return body.decode("latin-1")


def repeated(body):
    """Long files as one piece and how often it stands there, so that the table stays small."""
    for size in (64, 54):
        piece, times = body[:size], len(body) // size
        if times > 1000 and piece * times == body[: size * times]:
            return {"piece": chars(piece), "times": times, "rest": chars(body[size * times :])}
    return chars(body)


def main():
    os.environ["LC_ALL"] = "C.UTF-8"
    cases = []
    for name, (files, calls) in CASES.items():
        said, after = run(files, calls)
        before = {path: None if body is None else contents(body) for path, body in files.items()}
        changed = {path: chars(body) for path, body in after.items() if before.get(path) != body}
        cases.append({
            "name": name,
            "files": {path: None if body is None else repeated(body) for path, body in before.items()},
            "calls": [{"arguments": call, "said": text} for call, text in zip(calls, said)],
            "changed": changed,
        })
    shutil.rmtree(ROOT)
    json.dump({"root": ROOT, "cases": cases}, sys.stdout, ensure_ascii=False, indent=1)
    sys.stdout.write("\n")


main()
