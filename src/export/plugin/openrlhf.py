

# OpenRLHF: --data.prompt_dataset train.jsonl --data.input_key prompt --data.label_key label
# --data.apply_chat_template, and the reward's address is the path of this file.
# Leave its dynamic filter off: it takes scores for 0 or 1.
ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "</s>", "<|end|>")


def reward_func(queries, prompts, labels, **kwargs):
    """One reward a query, as tensors."""
    import torch

    rewards = torch.tensor(step_rewards(queries, prompts, labels), dtype=torch.float32)
    return {"rewards": rewards, "scores": rewards, "extra_logs": {"well_formed": (rewards != MALFORMED).float()}}


def step_rewards(queries, prompts, labels):
    """One reward a query, as a list."""
    return [step_reward(_said(query, prompt), label) for query, prompt, label in zip(queries, prompts, labels)]


def _said(query, prompt):
    # A query is the prompt and the response, decoded with special tokens.
    reply = query[len(prompt) :] if query.startswith(prompt) else query[query.rfind("<think>") :]
    reply = reply.rstrip(WHITE)
    for end in ENDS:
        reply = reply.removesuffix(end)
    return reply
