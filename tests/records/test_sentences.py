"""What is said of a field is read from the docstring under it, also of a model made by a call."""

from pydantic import Field, create_model

from darkroom.records import Config, field_sentences


class Outer(Config):
    depth: int = 1
    """How deep
    it is."""
    silent: int = 2
    said: int = Field(default=3, description="As the field says.")
    """Not this."""


class Below(Outer):
    depth: int = 4
    """Deeper."""
    more: str = ""
    """More."""


def test_docstrings_under_fields_are_found_and_the_fields_own_words_go_before() -> None:
    assert field_sentences(Outer) == {
        "depth": "How deep\nit is.",
        "silent": "",
        "said": "As the field says.",
    }


def test_a_class_below_takes_over_what_it_does_not_say_itself() -> None:
    assert field_sentences(Below)["depth"] == "Deeper."
    assert field_sentences(Below)["said"] == "As the field says."
    assert field_sentences(Below)["more"] == "More."


def test_the_schema_says_them() -> None:
    class Inside(Config):
        one: int = 1
        """Inside a function."""

    assert Below.model_json_schema()["properties"]["more"]["description"] == "More."
    assert Inside.model_json_schema()["properties"]["one"]["description"] == "Inside a function."


def test_a_model_without_a_source_has_the_words_of_its_fields_alone() -> None:
    made = create_model(
        "Made", __base__=Config, one=(int, Field(default=1, description="One.")), two=(int, 2)
    )
    assert field_sentences(made) == {"one": "One.", "two": ""}
