"""The peers of benches/train: TRL, transformers on PyTorch, difflib and cydifflib. One side of a contest a process."""

import json
import pathlib
import resource
import sys
import time

side, contest, directory = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def tokens(row, length):
    return [(row * 7919 + at * 104729 + at * at * 31) % 2000 for at in range(length)]


def timed(repetitions, work):
    """Repetitions after one that warms up, and what the last one said."""
    wall, processor, said = [], [], {}
    for repetition in range(repetitions + 1):
        started, used = time.perf_counter(), processor_seconds()
        said = work()
        if repetition:
            wall.append(time.perf_counter() - started)
            processor.append(processor_seconds() - used)
    return {"wall": wall, "processor": processor, **said}


def model(name):
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(2)
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_pretrained(directory / name, dtype=torch.float32, attn_implementation="sdpa")


def step():
    import torch

    name, rows, length, repetitions = {
        "batch 8x256": ("small", 8, 256, 8),
        "batch 32x256": ("small", 32, 256, 4),
        "0.5B 1x512": ("large", 1, 512, 2),
    }[contest]
    network = model(name)
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, weight_decay=0.01, fused=True)
    ids = torch.tensor([tokens(row, length) for row in range(rows)])

    def work():
        loss = network(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return {"loss": loss.item()}

    return timed(repetitions, work)


def generate():
    import torch

    network = model("small").eval()
    ids = torch.tensor([tokens(row, 32) for row in range(16)])

    def work():
        with torch.inference_mode():
            out = network.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
                min_new_tokens=256, max_new_tokens=256, pad_token_id=0,
            )
        return {"tokens": (out.shape[1] - ids.shape[1]) * out.shape[0]}

    return timed(3, work)


def similarity():
    import difflib

    import cydifflib

    pairs = json.loads((directory / "pairs.json").read_text())

    def with_matcher(matcher):
        return lambda: {"sum": sum(matcher(None, student, expert, autojunk=False).ratio() for expert, student in pairs)}

    python = side == "difflib"
    return timed(2 if python else 5, with_matcher((difflib if python else cydifflib).SequenceMatcher))


def trl():
    import difflib

    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    steps = json.loads((directory / "steps.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(directory / "small")
    network = model("small")
    texts = tokenizer.batch_decode(steps["prompts"], skip_special_tokens=False)
    marks = {"wall": [], "processor": []}
    last = []

    def reward(completions, expert, **_):
        return [
            difflib.SequenceMatcher(None, said, wanted, autojunk=False).ratio() for said, wanted in zip(completions, expert)
        ]

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__):
            if not last:
                last.append((time.perf_counter(), processor_seconds()))

        def on_step_end(self, *_, **__):
            now = (time.perf_counter(), processor_seconds())
            marks["wall"].append(now[0] - last[-1][0])
            marks["processor"].append(now[1] - last[-1][1])
            last.append(now)

    updates = 3
    config = GRPOConfig(
        output_dir=str(directory / "trl"), use_cpu=True, bf16=False, report_to="none", save_strategy="no", seed=0,
        per_device_train_batch_size=8, gradient_accumulation_steps=8, num_generations=8, max_completion_length=64,
        max_steps=updates, num_iterations=1, beta=0.0, temperature=1.0, learning_rate=1e-5, loss_type="grpo",
        gradient_checkpointing=False, generation_kwargs={"min_new_tokens": 64}, logging_steps=1, disable_tqdm=True,
        shuffle_dataset=False, dataloader_pin_memory=False,
    )
    trainer = GRPOTrainer(
        model=network, reward_funcs=reward, args=config, processing_class=tokenizer, callbacks=[Clock()],
        train_dataset=Dataset.from_dict({"prompt": texts, "expert": steps["experts"]}),
    )
    trainer.train()
    read = sum(len(ids) for ids in tokenizer(texts)["input_ids"]) * 8 + 64 * 64
    # The first update warms up.
    return {"wall": marks["wall"][1:], "processor": marks["processor"][1:], "tokens": read}


sides = {"step": step, "generate": generate, "cydifflib": similarity, "difflib": similarity, "trl": trl}
print(json.dumps(sides[side]()))
