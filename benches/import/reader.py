"""The peer of the import bench: a reader of JSONL that is built on Python's json module.

`walk` loads each line and visits its messages, the least that any importer does.
`steps` makes of them what ours makes: thoughts, actions and observations without their wrappers.
"""

import json
import re
import sys

CALL = re.compile(r"<function=([^>]+)>\n(.*?)</function>", re.DOTALL)
PARAMETER = re.compile(r"<parameter=([^>]+)>(.*?)</parameter>", re.DOTALL)
BLOCK = re.compile(r"```(?:bash|mswea_bash_command)\s*\n(.*?)\n```", re.DOTALL)


def messages_of(record):
    messages = record if isinstance(record, list) else record.get("messages") or record.get("trajectory") or record.get("history")
    return json.loads(messages) if isinstance(messages, str) else messages


def walk(path):
    count = 0
    for line in open(path, encoding="utf-8"):
        for message in messages_of(json.loads(line)):
            count += len(message)
    return count


def text_of(content):
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content or [] if "text" in part)


def step_of(message):
    """A message as one step; a result is given to the step before it."""
    if "observation" in message and "action" in message:
        return {"thought": message.get("thought", ""), "action": message["action"], "observation": message["observation"].replace("\r\n", "\n")}
    text = text_of(message.get("content"))
    found = CALL.search(text)
    if found:
        arguments = {name: value.strip("\n") for name, value in PARAMETER.findall(found.group(2))}
        return {"thought": text[: found.start()].strip(), "action": {"name": found.group(1), "arguments": arguments}}
    found = BLOCK.search(text)
    if found:
        return {"thought": text[: found.start()].strip(), "action": found.group(1)}
    arguments = message.get("args") or {}
    return {"thought": arguments.get("thought", ""), "action": message.get("action") or text}


def steps_of(messages):
    steps = []
    for message in messages:
        if message.get("role") in ("user", "tool") or "cause" in message:
            if steps:
                steps[-1]["observation"] = text_of(message.get("content")).removeprefix("OBSERVATION:\n").replace("\r\n", "\n")
        elif message.get("role") != "system":
            steps.append(step_of(message))
    return steps


def steps(path):
    return sum(len(steps_of(messages_of(json.loads(line)))) for line in open(path, encoding="utf-8"))


print({"walk": walk, "steps": steps}[sys.argv[1]](sys.argv[2]))
