"""OpenAI's Python client asks a server: client.py URL MODEL."""

import sys

from openai import BadRequestError, NotFoundError, OpenAI

url, model = sys.argv[1:]
client = OpenAI(base_url=f"{url}/v1", api_key="a-key", max_retries=0)
assert [served.id for served in client.models.list()] == [model]

messages = [{"role": "user", "content": "fn field_3"}]
options = {"model": model, "seed": 7, "temperature": 1.0}
chat = client.chat.completions.create(
    messages=messages, max_tokens=12, n=2, logprobs=True, top_logprobs=2, extra_body={"return_token_ids": True}, **options
)
assert [choice.index for choice in chat.choices] == [0, 1]
assert all(choice.finish_reason in ("stop", "length") for choice in chat.choices)
assert all(len(choice.logprobs.content) == len(choice.token_ids) for choice in chat.choices)
assert chat.usage.completion_tokens == sum(len(choice.token_ids) for choice in chat.choices)

pieces = client.chat.completions.create(
    messages=messages, max_tokens=12, stream=True, stream_options={"include_usage": True}, **options
)
text, usage = "", None
for piece in pieces:
    usage = piece.usage or usage
    text += "".join(choice.delta.content or "" for choice in piece.choices)
assert text == chat.choices[0].message.content, (text, chat.choices[0].message.content)
assert usage.completion_tokens == len(chat.choices[0].token_ids)

completion = client.completions.create(prompt=[1, 2, 3], max_tokens=5, logprobs=1, extra_body={"top_k": 4, "min_p": 0.01}, **options)
assert len(completion.choices[0].logprobs.tokens) == completion.usage.completion_tokens

for error, more in [(BadRequestError, {"model": model, "temperature": -1}), (NotFoundError, {"model": "other"})]:
    try:
        client.chat.completions.create(messages=messages, **more)
    except error as refusal:
        assert refusal.param in ("temperature", "model"), refusal.param
    else:
        raise AssertionError(more)
print("ok")
