"""Step-wise SRL on an expert's trajectories, for verifiers (v1) and prime-rl.

Written by `apprentice trajectory export`. Install it (`pip install .`) and name it: `apprentice-srl`,
with the harness `null`, since one reply is all there is.
"""

import json
from importlib.resources import files

import verifiers.v1 as vf

from .srl_reward import MALFORMED, step_reward

__all__ = ["SrlTaskset"]


class SrlData(vf.TaskData):
    """The conversation before one of the expert's steps, and the step."""

    expert_step: str
    trajectory: str
    task: str
    step: int


class SrlTask(vf.Task[SrlData]):
    """One reply, scored by its action's likeness to the expert's."""

    @vf.reward
    async def similarity(self, trace) -> float:
        return step_reward(said(trace), self.data.expert_step)

    @vf.metric
    async def well_formed(self, trace) -> float:
        return float(step_reward(said(trace), self.data.expert_step) != MALFORMED)


class SrlTaskset(vf.Taskset[SrlTask]):
    """The rows of data.jsonl."""

    def load(self):
        with files(__package__).joinpath("data.jsonl").open(encoding="utf-8") as rows:
            for row in rows:
                yield SrlTask(SrlData(**json.loads(row)), self.config.task)


def said(trace):
    """The reply as it was said: a server may have cut the thought out of it."""
    messages = trace.assistant_messages
    thought = messages[-1].reasoning_content if messages else None
    return f"<think>{thought}</think>\n{trace.last_reply}" if thought else trace.last_reply
