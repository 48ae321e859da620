

# TRL: GRPOTrainer(reward_funcs=srl_reward, train_dataset=load_dataset("json", data_files="train.jsonl"), ...).
# The columns of a row reach it as lists. SFTTrainer takes `prompt` and `completion` of the same file.
def srl_reward(prompts, completions, expert_step, **kwargs):
    """One reward a completion."""
    return [step_reward(_said(completion), expert) for completion, expert in zip(completions, expert_step)]


def _said(completion):
    if isinstance(completion, str):
        return completion
    return "".join(message["content"] or "" for message in completion if message["role"] == "assistant")
