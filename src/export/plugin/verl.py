

# verl: data.train_files=train.parquet reward.custom_reward_function.path=srl_reward.py
# reward.custom_reward_function.name=compute_score (custom_reward_function.* before 0.8).
# For dynamic sampling, algorithm.filter_groups.metric=score.
def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    """The reward of one response, and whether it was well-formed."""
    reward = step_reward(solution_str, ground_truth)
    return {"score": reward, "well_formed": float(reward != MALFORMED)}
