"""MIPROv2 (DSPy): demonstration sets bootstrapped from the pool, instructions written with a look at data and program, and
trials of their combinations by Bayesian optimisation. The winner is the best by a full evaluation of its validation set.

How it spends its calls is fixed beforehand by the size of that set, so that it gets a run for each budget. At 1,500 the
settings are those of `auto="light"`, with trials until the calls are used up; below that it could not end its first round
of trials, and gets a smaller set, all of it in each trial. Its cache in memory stays on: what it asks twice counts once.
"""

import logging

from cell import INPUT, turns
from labels import verdict

# budget: candidates, validation set, minibatches
SETTINGS = {200: (4, 30, False), 600: (6, 50, False), 1500: (6, 100, True)}


def run(job):
    import dspy
    from dspy.teleprompt import mipro_optimizer_v2 as mipro

    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True)
    logging.getLogger("dspy").setLevel(logging.INFO)
    adapter = plain(dspy, job)
    candidates, size, minibatch = SETTINGS[job.budget]
    reach = {"api_base": job.base_url, "api_key": "none", "num_retries": 0}
    target = dspy.LM("openai/target", temperature=0, max_tokens=16, **reach)
    proposer = dspy.LM("openai/proposer", temperature=1.0, max_tokens=256, **reach)
    dspy.configure(lm=target, adapter=lenient(dspy))
    student = program(dspy, job, adapter)

    def rendered(candidate):
        predictor = candidate.predictors()[0]
        return adapter.format(predictor.signature, predictor.demos, {"text": INPUT})

    best = {"score": -1.0}
    evaluate = mipro.eval_candidate_program

    def evaluated(batch_size, trainset, candidate, *rest):
        result = evaluate(batch_size, trainset, candidate, *rest)
        if batch_size >= len(trainset) and result.score > best["score"]:
            best["score"] = result.score
            job.incumbent(rendered(candidate), result.score / 100, note={"shots": len(candidate.predictors()[0].demos)})
        return result

    mipro.eval_candidate_program = evaluated
    job.incumbent(rendered(student))
    rows = [dspy.Example(text=row.text, label=row.label).with_inputs("text") for row in job.pool]
    search = dspy.MIPROv2(
        metric=lambda example, predicted, trace=None: job.right(predicted.label, example.label),
        prompt_model=proposer,
        task_model=target,
        auto=None,
        num_candidates=candidates,
        init_temperature=1.0,
        num_threads=16,
        max_errors=10**9,
        seed=job.seed + 9,
    )
    search.num_instruct_candidates = max(2, candidates // 2)
    search.compile(
        student, trainset=rows[size:], valset=rows[:size], num_trials=200, minibatch=minibatch, minibatch_size=35
    )


def program(dspy, job, adapter):
    signature = dspy.Signature("text -> label", job.start)

    class Classify(dspy.Module):
        """Names the label of a text."""

        def __init__(self):
            super().__init__()
            self.predict = dspy.Predict(signature)

        def forward(self, text):
            with dspy.context(adapter=adapter):
                return self.predict(text=text)

    return Classify()


def lenient(dspy):
    """DSPy's adapter for what MIPROv2 itself asks the proposer. Where a reply lacks the headings it is taken as the text of the
    last field: otherwise the first such reply, and a model of this size gives many, would end the search."""

    class Lenient(dspy.ChatAdapter):
        def __init__(self):
            super().__init__(use_json_adapter_fallback=False)

        def parse(self, signature, completion):
            try:
                return super().parse(signature, completion)
            except Exception:
                fields = list(signature.output_fields)
                return dict.fromkeys(fields, "") | {fields[-1]: completion.split("[[ ##")[0].strip() or completion}

    return Lenient()


def plain(dspy, job):
    """An adapter that sends instruction, demonstrations and input as the others do, and keeps the whole reply.

    DSPy's own puts fields into headings that a model of this size does not repeat: what it would score was not measured.
    """

    class Plain(dspy.ChatAdapter):
        def __init__(self):
            super().__init__(use_json_adapter_fallback=False)

        def format(self, signature, demos, inputs):
            return turns(signature.instructions, [(demo["text"], demo["label"]) for demo in demos], inputs["text"])

        def parse(self, signature, completion):
            # A demonstration that is bootstrapped shows the label, not what was said around it.
            return {"label": verdict(completion, job.labels) or completion}

    return Plain()
