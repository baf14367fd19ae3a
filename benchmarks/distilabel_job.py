"""The job of benchmarks/prelabel.py that runs in distilabel's own environment: its pipeline, the same questions."""

import json
import resource
import sys
import time

# Made here and not imported: this environment has no curate.
URL, COUNT, IN_FLIGHT, SYSTEM, QUESTION = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]


def main() -> None:
    from distilabel.models import OpenAILLM
    from distilabel.pipeline import Pipeline
    from distilabel.steps import LoadDataFromDicts
    from distilabel.steps.tasks import TextGeneration

    rows = [{"instruction": QUESTION.replace("{number}", str(number))} for number in range(COUNT)]
    began = time.perf_counter()
    with Pipeline(name="benchmark") as pipeline:
        load = LoadDataFromDicts(data=rows, batch_size=IN_FLIGHT)
        llm = OpenAILLM(model="gpt-5-mini", base_url=URL, api_key="sk-benchmark")
        load >> TextGeneration(llm=llm, system_prompt=SYSTEM, input_batch_size=IN_FLIGHT)
    made = pipeline.run(use_cache=False)
    wall = time.perf_counter() - began
    answered = sum(bool(row["generation"]) for row in made["default"]["train"])
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in used)
    print("\n" + json.dumps({"wall": wall, "cpu": cpu, "answered": answered, "peak": used[0].ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
