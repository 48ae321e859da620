

# SkyRL: data.train_data=["train.parquet"] environment.env_class=srl, with this file importable
# (PYTHONPATH) and imported before the generator makes environments: `import srl_reward`.
# dynamic_sampling.type=filter drops groups without spread.
from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput
from skyrl_gym.envs.registration import register, registry


class SRLEnv(BaseTextEnv):
    """One reply, one reward, done."""

    def __init__(self, env_config=None, extras=None):
        super().__init__()
        self.expert = (extras or {})["reward_spec"]["ground_truth"]

    def step(self, action):
        reward = step_reward(action, self.expert)
        metadata = {"well_formed": float(reward != MALFORMED)}
        return BaseTextEnvStepOutput(observations=[], reward=reward, done=True, metadata=metadata)


if "srl" not in registry:
    register(id="srl", entry_point=f"{__name__}:SRLEnv")
