"""Facts for the pages under test, with every name as hostile as a file system allows."""

import io
from datetime import date
from functools import cache

import numpy as np
from PIL import Image as Picture

from darkroom.documents import (
    Layer,
    Link,
    NextStep,
    TrainedClone,
    dataset_page,
    evaluation_page,
    model_page,
    parity_page,
    problem_page,
    report_page,
    training_page,
)
from darkroom.evaluation import EvaluationSource, Predictions, judge, summarise
from darkroom.evaluation.depth import Depth, deepened
from darkroom.evaluation.operating import Prices
from darkroom.evaluation.slices import named_column
from darkroom.export import FileParity, Flip, GoldenParity, Latency, MemoryUse, ParityReport
from darkroom.networks import NETWORKS
from darkroom.records import (
    Approval,
    Brief,
    Contract,
    DatasetVersion,
    Gate,
    Interval,
    Limits,
    Lineage,
    MetricPoint,
    Mistake,
    ModelCard,
    Normalisation,
    OperatingPoint,
    Quarantined,
    Rule,
    Scenario,
    now,
)

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>{{ 7*7 }}&amp;"
NAMES = ("plain", HOSTILE, "漢字 😀")
CONTRACT = Contract(width_px=28, height_px=28, colour="grey")
MOMENT = now()


def png(colour=80):
    file = io.BytesIO()
    Picture.new("L", (12, 9), colour).save(file, "PNG")
    return file.getvalue()


@cache
def evaluations(classes=NAMES, count=90, runs=2):
    labels = np.arange(count) % len(classes)
    found = []
    for seed in range(runs):
        noise = np.random.default_rng(seed).random((count, len(classes)))
        probabilities = np.eye(len(classes))[labels] * 0.6 + noise
        probabilities = (probabilities / probabilities.sum(axis=1, keepdims=True)).astype(np.float32)
        ids = tuple(f"{place:064x}" for place in range(count))
        source = EvaluationSource(
            run=f"r-{seed}", seed=seed, dataset=f"{HOSTILE}@1", dataset_id="ab", network=HOSTILE
        )
        one = judge(labels, probabilities, ids, classes=classes, source=source, draws=100)
        answers = Predictions(ids, labels, None, probabilities)
        found.append((deepened(one, answers, depth(classes, count)), answers))
    return found


def depth(classes, count):
    """Returns costs, an operating point and columns, all as hostile as the classes."""
    point = OperatingPoint(temperature=0.7, thresholds={classes[1]: 0.6}, chosen_on=HOSTILE)
    columns = [
        named_column(HOSTILE, [HOSTILE if place % 2 else "other" for place in range(count)]),
        named_column("always", [HOSTILE] * count),
    ]
    prices = Prices(np.ones((len(classes), len(classes))) - np.eye(len(classes)), 0.3)
    return Depth(prices, point, lambda _: columns)


def brief():
    return Brief(
        statement=HOSTILE,
        ideal=HOSTILE,
        insight=HOSTILE,
        owner=HOSTILE,
        intended_use=HOSTILE,
        not_for=HOSTILE,
        human_review=HOSTILE,
        licence=HOSTILE,
        human_baseline=0.98,
        requirements=(HOSTILE,),
        risks=(HOSTILE,),
        scenarios=(Scenario(title=HOSTILE, text=HOSTILE, met_by=HOSTILE),),
        rules=(Rule(name=HOSTILE, text=HOSTILE),),
        mistakes=(Mistake(truth=HOSTILE, answer="*", cost=3),),
        approvals=(Approval(stage=HOSTILE, by=HOSTILE, on=date(2026, 1, 2), note=HOSTILE),),
        limits=Limits(accuracy=0.9, recall={HOSTILE: 0.5, "nobody": 0.5}, model_bytes=10**6, latency_ms=5),
    )


def gates():
    figure = Interval(value=0.9, low=0.86, high=0.94)
    facts = {"bound": 0.95, "subject": HOSTILE, "split": "val", "value": 0.9, "interval": figure}
    return (
        Gate(limit="accuracy", verdict="fail", missed_by=0.05, note=HOSTILE, **facts),
        Gate(limit="recall", label=HOSTILE, verdict="pass", decides=False, **facts),
        Gate(limit="expected_cost", unit="cost", verdict="not enough evidence", more_images=341, **facts),
        Gate(
            limit="memory_bytes",
            bound=1e6,
            at_most=True,
            unit="bytes",
            subject=HOSTILE,
            verdict="not measured",
        ),
    )


def version(classes=NAMES):
    histogram = {split: dict.fromkeys(classes, n) for split, n in (("train", 60), ("val", 4), ("test", 0))}
    histogram["test"][classes[0]] = 30
    return DatasetVersion(
        name=HOSTILE,
        version=1,
        id="ab" * 32,
        task="classification",
        classes=classes,
        contract=CONTRACT,
        counts={split: sum(rows.values()) for split, rows in histogram.items()},
        histogram=histogram,
        lineage=Lineage(parent=HOSTILE, sources=(HOSTILE,), left_out={HOSTILE: 3}),
        created_at=MOMENT,
    )


def clones(epochs=4, runs=2):
    return [
        TrainedClone(
            run=f"{HOSTILE}-{seed}",
            seed=seed,
            best_epoch=epochs - 1,
            points=tuple(
                MetricPoint(
                    epoch=epoch,
                    step=epoch * 10,
                    train_loss=1 / epoch + seed / 50,
                    train_accuracy=1 - 0.5 / epoch,
                    val_loss=1.1 / epoch,
                    val_accuracy=0.99 - 0.5 / epoch,
                    learning_rate=0.01,
                    images_per_second=1000,
                    duration_s=1.5,
                )
                for epoch in range(1, epochs + 1)
            ),
        )
        for seed in range(runs)
    ]


def parity():
    latency = Latency(p50_ms=0.2, p95_ms=0.4, threads=1, rounds=100)
    good = FileParity(
        file=f"{HOSTILE}.onnx",
        target="onnx",
        precision="float32",
        size_bytes=250_000,
        runtime=HOSTILE,
        agreement=1.0,
        max_abs=3e-7,
        accuracy=0.9,
        accuracy_difference=Interval(value=0, low=-0.04, high=0.04),
        latency=latency,
        memory=MemoryUse(baseline_bytes=60_000_000, peak_bytes=65_000_000),
        golden=GoldenParity(count=3),
    )
    flip = Flip(image_id=f"{1:064x}", truth=HOSTILE, reference_answer=HOSTILE, answer=HOSTILE, margin=0.002)
    bad = good.model_copy(
        update={
            "file": "other.tflite",
            "flips": (flip,),
            "flip_count": 2,
            "agreement": 0.99996,
            "failures": (HOSTILE,),
            "golden": GoldenParity(count=3, wrong_tensors=(HOSTILE,)),
            "latency": None,
        }
    )
    return ParityReport(
        files=(good, bad),
        image_count=90,
        labels=NAMES,
        reference=HOSTILE,
        reference_accuracy=0.9,
        reference_latency=latency,
        limits=Limits(),
        host=HOSTILE,
        created_at=MOMENT,
        gates=gates(),
    )


def card():
    return ModelCard(
        task="classification",
        labels=NAMES,
        network="lenet5",
        contract=CONTRACT,
        normalisation=Normalisation(mean=(0.5,), std=(0.25,), source=HOSTILE),
        run=HOSTILE,
        dataset=HOSTILE,
        metrics={HOSTILE: Interval(value=0.9, low=0.8, high=0.95)},
        intended_use=HOSTILE,
        licence=HOSTILE,
        created_at=MOMENT,
    )


def all_pages():
    """Returns every kind of page, full and as empty as it can be, by name."""
    return pages_of_figures() | pages_of_data() | pages_of_models()


def pages_of_figures():
    found = evaluations()
    judged, pictures = [one for one, _ in found], {f"{place:064x}": png(place) for place in range(60)}
    summary = summarise(judged, [answers for _, answers in found])
    return {
        "evaluation": evaluation_page(
            project=HOSTILE,
            evaluations=judged,
            clones=summary,
            pictures=pictures,
            gates=gates(),
            human=0.98,
        ),
        "evaluation, one run": evaluation_page(project=HOSTILE, evaluations=judged[:1]),
        "evaluation, many classes": evaluation_page(
            project=HOSTILE,
            evaluations=[one for one, _ in evaluations((*NAMES, *(f"c{n}" for n in range(30))), 400, 1)],
        ),
        "parity": parity_page(project=HOSTILE, report=parity(), bundle=HOSTILE, pictures=pictures),
        "problem": problem_page(project=HOSTILE, brief=brief()),
        "problem, empty": problem_page(project=HOSTILE, brief=Brief()),
        "report": report_page(
            project=HOSTILE,
            brief=brief(),
            version=version(),
            trainings=clones(),
            evaluations=judged,
            clones=summary,
            parity=parity(),
            chosen="r-0",
            gates=gates(),
            looks=HOSTILE,
            links=[Link("07-evaluation/index.html", HOSTILE, HOSTILE)],
            next_steps=[NextStep(HOSTILE, HOSTILE)],
        ),
        "report, empty": report_page(project=HOSTILE),
    }


def pages_of_data():
    return {
        "dataset": dataset_page(
            project=HOSTILE,
            version=version(),
            examples={HOSTILE: [png(), b"<svg onload=alert(1)>"]},
            means={HOSTILE: png(200)},
            facts=[(HOSTILE, HOSTILE)],
            warnings=[HOSTILE],
            quarantined=[Quarantined(source_id="s-1", path=HOSTILE, reason="x", message=HOSTILE)],
        ),
        "dataset, many classes": dataset_page(
            project=HOSTILE, version=version((*NAMES, *(f"c{n}" for n in range(50))))
        ),
        "training": training_page(
            project=HOSTILE,
            clones=clones(),
            recipe={"network": HOSTILE, "augment": {HOSTILE: HOSTILE, "flip": True}},
            dataset=HOSTILE,
            preview=png(),
            environment={"cores": 2, "libraries": {"torch": HOSTILE}},
            gates=gates(),
        ),
        "training, one epoch": training_page(project=HOSTILE, clones=clones(1, 1), recipe={}),
    }


def pages_of_models():
    return {
        "model": model_page(
            project=HOSTILE,
            network=NETWORKS["lenet5"],
            contract=CONTRACT,
            labels=NAMES,
            parameters=61_000,
            layers=[Layer(HOSTILE, HOSTILE, (6, 28, 28), 156), Layer("flatten", "Flatten", (400,), 0)],
            options={HOSTILE: HOSTILE},
            card=card(),
        ),
        "model, not trained": model_page(
            project=HOSTILE, network=NETWORKS["lenet5"], contract=CONTRACT, labels=NAMES, parameters=61_000
        ),
    }
