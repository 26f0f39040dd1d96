"""GEPA through its own `optimize` and default adapter: reflection reads three examples with what was replied and what would
have been right. 80 of the pool are its validation set, the others its training set.

The adapter would put the instruction into the system's turn, where this model hardly heeds it: it is put before the input, as
for the others, on the way out.
"""

from cell import turns

VALIDATION = 80


def run(job):
    from gepa import optimize
    from gepa.adapters.default_adapter.default_adapter import DefaultAdapter, EvaluationResult

    def judge(data, response):
        if job.right(response, data["answer"]):
            return EvaluationResult(1.0, f"The reply is right: it names '{data['answer']}'.")
        return EvaluationResult(0.0, f"The reply is wrong. It must name exactly one label: '{data['answer']}'.")

    class Report:
        def on_valset_evaluated(self, event):
            if event["is_best_program"]:
                job.incumbent(turns(event["candidate"]["instruction"]), event["average_score"])

    rows = [{"input": row.text, "answer": row.label, "additional_context": {}} for row in job.pool]
    reach = {"api_base": job.base_url, "api_key": "none"}
    target = DefaultAdapter("openai/target", judge, 16, reach | {"temperature": 0, "max_tokens": 16})
    target._lm.num_retries = 0
    target._lm = Placed(target._lm)
    job.incumbent(turns(job.start))
    optimize(
        seed_candidate={"instruction": job.start},
        trainset=rows[VALIDATION:],
        valset=rows[:VALIDATION],
        adapter=target,
        reflection_lm="openai/proposer",
        reflection_lm_kwargs=reach,
        max_metric_calls=job.budget + 100,
        callbacks=[Report()],
        cache_evaluation=True,
        seed=job.seed,
        raise_on_exception=False,
    )


class Placed:
    """GEPA's model, asked with system and user in one turn."""

    def __init__(self, lm):
        self.lm = lm

    def batch_complete(self, requests, **settings):
        placed = [turns(system["content"], text=user["content"]) for system, user in requests]
        return self.lm.batch_complete(placed, **settings)
