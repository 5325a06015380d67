"""The record of an evaluation is light."""

import subprocess
import sys


def test_reading_an_evaluation_loads_neither_torch_nor_numpy():
    code = (
        "import sys, darkroom.evaluation.record\n"
        "assert not {'torch', 'numpy', 'matplotlib', 'jinja2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_exported_name_can_be_had():
    import darkroom.evaluation as evaluation

    assert all(getattr(evaluation, name) for name in evaluation.__all__)
    assert not hasattr(evaluation, "no_such_name")


def test_no_module_hides_a_function_of_the_same_name():
    code = (
        "import darkroom.evaluation as evaluation\n"
        "import darkroom.evaluation.clones, darkroom.evaluation.judgement, darkroom.evaluation.run\n"
        "names = set(evaluation.__all__) - {'Verdict'}\n"
        "assert all(callable(getattr(evaluation, name)) for name in names)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
