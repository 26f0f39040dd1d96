"""OpenAI's own client against `promptimal serve`: every call that the documentation promises.

    python openai_client.py BASE_URL KEY BASE_MODEL REWRITER BETTER

BETTER is what the rewriter says whatever it is given. Ends with `all good`, or with the assertion that failed.
"""

import sys

import openai

url, key, base, rewriter, better = sys.argv[1:]
client = openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=60)


def chat(model=rewriter, text="bells?", **more):
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], **more
    )


def refused(kind, call, *says):
    try:
        call()
    except kind as error:
        for word in says:
            assert word in str(error), (word, str(error))
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


# Models.
names = [model.id for model in client.models.list()]
assert names == [base, rewriter], names
assert client.models.retrieve(rewriter).id == rewriter
refused(openai.NotFoundError, lambda: client.models.retrieve("gpt-9"), "gpt-9", base)

# Chat: whole, several, with probabilities.
whole = chat(temperature=0, seed=1)
assert whole.object == "chat.completion" and whole.model == rewriter
assert whole.choices[0].message.content == better, whole
assert whole.choices[0].finish_reason == "stop"
usage = whole.usage
assert usage.prompt_tokens > 10 and usage.completion_tokens > 10, usage
assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
assert usage.prompt_tokens_details.cached_tokens == 0, usage
known = chat(temperature=0, seed=1).usage.prompt_tokens_details.cached_tokens
assert known == usage.prompt_tokens - 1, known
three = chat(model=base, n=3, temperature=1.5, seed=4, max_tokens=8)
texts = [choice.message.content for choice in three.choices]
assert [choice.index for choice in three.choices] == [0, 1, 2]
assert len(set(texts)) > 1, texts
again = chat(model=base, n=3, temperature=1.5, seed=4, max_tokens=8)
assert texts == [choice.message.content for choice in again.choices]
assert three.choices[0].finish_reason == "length"
told = chat(temperature=0, logprobs=True, top_logprobs=2, max_tokens=5).choices[0].logprobs
assert len(told.content) == 5 and len(told.content[0].top_logprobs) == 2
likeliest = told.content[0].top_logprobs[0]
assert likeliest.token == told.content[0].token and likeliest.logprob == told.content[0].logprob

# The base is the base: the adapter has no part in it.
plain = chat(model=base, temperature=0, max_tokens=8).choices[0].message.content
assert plain != better[:8], plain

# Chat, streamed: the same text, and what it cost.
pieces = list(chat(temperature=0, stream=True, stream_options={"include_usage": True}))
assert pieces[0].choices[0].delta.role == "assistant"
assert pieces[0].object == "chat.completion.chunk"
text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
assert text == better, text
assert [p.choices[0].finish_reason for p in pieces if p.choices][-1] == "stop"
assert pieces[-1].choices == [] and pieces[-1].usage.total_tokens == usage.total_tokens, pieces[-1]
assert sum(1 for p in pieces if p.choices and p.choices[0].delta.content) > 5
stopped = chat(temperature=0, stop=["few"])
assert stopped.choices[0].message.content == better.split("few")[0].strip(), stopped
pieces = chat(temperature=0, stop=["few"], stream=True)
text = "".join(piece.choices[0].delta.content or "" for piece in pieces)
assert text == better.split("few")[0].strip(), text

# Completions: words and tokens as prompts, echoes, probabilities.
prompt = "how probable is it"
done = client.completions.create(
    model=base, prompt=prompt, max_tokens=4, temperature=0, logprobs=3, echo=True
)
choice = done.choices[0]
assert done.object == "text_completion" and choice.text.startswith(prompt), choice
told = choice.logprobs
assert told.token_logprobs[0] is None and all(p < 0 for p in told.token_logprobs[1:])
assert len(told.tokens) == len(told.token_logprobs) == len(told.top_logprobs) == len(told.text_offset)
# Tokens that are halves of characters have one entry together.
assert all(1 <= len(top) <= 3 for top in told.top_logprobs[1:]), told.top_logprobs
assert any(len(top) == 3 for top in told.top_logprobs[1:]), told.top_logprobs
assert "".join(told.tokens).startswith(prompt), told.tokens
assert done.usage.completion_tokens == 4 and len(told.tokens) == done.usage.total_tokens
weighed = client.completions.create(
    model=base, prompt=prompt, max_tokens=0, logprobs=0, echo=True
).choices[0]
read = done.usage.prompt_tokens
assert weighed.text == prompt
assert weighed.logprobs.token_logprobs[1:] == told.token_logprobs[1:read]
pieces = client.completions.create(
    model=base, prompt=prompt, max_tokens=4, temperature=0, logprobs=3, echo=True, stream=True
)
pieces = [piece.choices[0] for piece in pieces]
assert "".join(piece.text for piece in pieces) == choice.text
assert [t for p in pieces for t in p.logprobs.tokens] == told.tokens
assert [t for p in pieces for t in p.logprobs.text_offset] == told.text_offset
two = client.completions.create(model=base, prompt=["ab", "cd"], n=2, max_tokens=3, seed=1)
assert [choice.index for choice in two.choices] == [0, 1, 2, 3]
tokens = client.completions.create(model=base, prompt=[64, 65, 66], max_tokens=3, echo=True)
assert tokens.choices[0].text.startswith("abc"), tokens

# What can not be followed is told by name.
refused(openai.AuthenticationError, lambda: client.with_options(api_key="wrong-" + key).models.list(), "key")
refused(openai.NotFoundError, lambda: chat(model="gpt-9"), "gpt-9", rewriter)
too_long = refused(openai.BadRequestError, lambda: chat(text="long " * 100), "128")
assert too_long.code == "context_length_exceeded" and too_long.type == "invalid_request_error"
assert refused(openai.BadRequestError, lambda: chat(max_tokens=10**6), "max_tokens").param == "max_tokens"
refused(openai.BadRequestError, lambda: chat(temperature=9), "temperature")
refused(openai.BadRequestError, lambda: chat(presence_penalty=1), "presence_penalty")
refused(openai.BadRequestError, lambda: chat(logit_bias={"5": 1}), "logit_bias")
refused(openai.BadRequestError, lambda: client.chat.completions.create(model=rewriter, messages=[]), "messages")
two_turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "why?"}]
refused(openai.BadRequestError, lambda: client.chat.completions.create(model=rewriter, messages=two_turns), "one")
client.chat.completions.create(model=base, messages=two_turns, max_tokens=2)
large = refused(openai.APIStatusError, lambda: chat(text="x" * 200_000), "larger than")
assert large.status_code == 413

# Who stops listening ends the text.
stream = chat(model=base, stream=True, temperature=1)
next(iter(stream))
stream.close()

print("all good")
