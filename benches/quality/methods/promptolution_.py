"""What CAPO, EvoPrompt and OPRO of promptolution share: model, parser, data, and how their incumbents are read.

All three score prompts by `task.evaluate` and end with the prompt of the best mean. So after each evaluation the best
mean so far is the incumbent; none of them would say so before its step ends, which is to their advantage. In a race,
where prompts that are new have been asked little, that holds up to the end of the first one; then its winners count.
"""

import numpy
import pandas
from promptolution.llms import APILLM
from promptolution.predictors.base_predictor import BasePredictor
from promptolution.tasks import ClassificationTask
from promptolution.utils.callbacks import BaseCallback
from promptolution.utils.templates import DEFAULT_SYS_PROMPT

from cell import INPUT
from labels import verdict


class Predictor(BasePredictor):
    """The bench's parser. Their own would take the first label of a list where a reply names none."""

    def __init__(self, llm, job):
        super().__init__(llm)
        self.labels = job.labels
        self.extraction_description = f"The reply must name exactly one of these classes: {', '.join(job.labels)}."

    def _extract_preds(self, preds):
        return [(verdict(reply, self.labels) or "").lower() for reply in preds]


def model(job, name, **settings):
    # Without retries: the gateway has its own, and each would count as a call.
    settings |= {"max_retries": 0, "call_timeout_s": 3600, "gather_timeout_s": 7200, "client_kwargs": {"max_retries": 0}}
    return APILLM(api_url=job.base_url, model_id=name, api_key="none", **settings)


def messages(prompt):
    """As APILLM sends a prompt with an input."""
    system = {"role": "system", "content": DEFAULT_SYS_PROMPT}
    return [system, {"role": "user", "content": f"{prompt}\n{INPUT}"}]


def frame(rows):
    return pandas.DataFrame({"x": [row.text for row in rows], "y": [row.label for row in rows]})


class Report(BaseCallback):
    """Tells the job of the best prompt so far, where it is another than before."""

    def __init__(self, job, task):
        self.job, self.task, self.told, self.means, self.racing = job, task, None, {}, "block" in task.eval_strategy
        self.ended = False

    def evaluated(self, prompts):
        if self.racing and self.ended:
            return
        for prompt in prompts:
            self.means[prompt] = self.mean(prompt)
        self.tell(max(prompts if self.racing else self.means, key=lambda prompt: self.means[prompt][0]))

    def on_step_end(self, optimizer):
        self.ended = True
        if self.racing:
            self.tell(optimizer.prompts[0])
        return True

    def mean(self, prompt):
        """Over all that it has been asked, as the searches themselves take it."""
        shown = prompt.construct_prompt()
        scores = [score for (text, _, _), score in self.task.eval_cache.items() if text == shown]
        return float(numpy.mean(scores)), len(scores)

    def tell(self, best):
        if best != self.told:
            mean, asked = self.mean(best)
            self.job.incumbent(messages(best.construct_prompt()), mean, note={"asked": asked, "shots": len(best.few_shots)})
            self.told = best


def prepare(job, rows, **settings):
    """What every optimiser takes, with incumbents reported after each evaluation."""
    numpy.random.seed(job.seed)
    task = ClassificationTask(df=frame(rows), task_description=job.start, seed=job.seed, **settings)
    report, evaluate = Report(job, task), task.evaluate

    def evaluated(prompts, *rest, **named):
        result = evaluate(prompts, *rest, **named)
        report.evaluated(prompts if isinstance(prompts, list) else [prompts])
        return result

    task.evaluate = evaluated
    job.incumbent(messages(job.initial[0]))
    target, proposer = model(job, "target", max_tokens=16), model(job, "proposer", max_tokens=256)
    return {"predictor": Predictor(target, job), "meta_llm": proposer, "task": task, "callbacks": [report]}


# More steps than any budget allows.
STEPS = 500
