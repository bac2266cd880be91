"""What @feature accepts, and the errors for everything else."""

from __future__ import annotations

import functools

import pytest

from photogenic import feature
from photogenic.features.pictures.registry import own_features, picture_feature
from photogenic.warehouse import InputError

pytestmark = pytest.mark.usefixtures("no_features")

X = {"x": "double: a number"}


def test_a_function_becomes_a_feature_and_stays_a_function():
    @feature(columns={"x": "DOUBLE : a number: of things", "n": "bigint: a count"}, version=3, batch=True, seconds=2)
    def mine(pictures, photos):
        """The mean of each photo.

        Further text.
        """
        return len(pictures)

    found = picture_feature("mine")
    assert mine([1, 2], None) == 2
    assert (found.input, found.version, found.is_batch, found.takes_photo, found.seconds) == ("photo", 3, True, True, 2)
    assert [(c.name, c.type, c.comment) for c in found.columns] == [
        ("x", "double", "a number: of things"),
        ("n", "bigint", "a count"),
    ]
    assert found.summary == "the mean of each photo."
    assert found.uses_faces
    assert list(own_features()) == ["mine"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {}}, "at least one column"),
        ({"columns": ["x"]}, "a mapping"),
        ({"columns": {"x": "double"}}, "a type and a comment"),
        ({"columns": {"x": "double:"}}, "a type and a comment"),
        ({"columns": {"x": "float: y"}}, "double, bigint, boolean, varchar"),
        ({"columns": {"x": 3}}, "a type and a comment"),
        ({"columns": {"x": "double: a\n) from users -- b"}}, "one line"),
        ({"columns": {"x": "double: " + "y" * 501}}, "one line"),
        ({"columns": {"X": "double: y"}}, "lower-case"),
        ({"columns": {'x" --': "double: y"}}, "lower-case"),
        ({"columns": {3: "double: y"}}, "lower-case"),
        ({"columns": {"sha256": "double: y"}}, "has already"),
        ({"columns": {"status": "varchar: y"}}, "has already"),
        ({"columns": X, "input": "pixels"}, 'input="face"'),
        ({"columns": X, "version": "2"}, "a whole number"),
        ({"columns": X, "version": True}, "a whole number"),
        ({"columns": X, "seconds": 0}, "a number above 0"),
        ({"columns": X, "name": "users"}, "a relation of the program"),
        ({"columns": X, "name": "photo_quality"}, "a relation of the program"),
        ({"columns": X, "name": "a b"}, "lower-case"),
        ({"columns": X, "name": "drop table users"}, "lower-case"),
    ],
)
def test_a_wrong_declaration_is_refused(options, message):
    with pytest.raises(InputError) as error:
        feature(**options)(lambda pixels: {"x": 1})
    assert message in str(error.value)
    assert error.value.remedy


@pytest.mark.parametrize(
    "function",
    [
        lambda: None,
        lambda a, b, c: None,
        lambda pixels, *, sigma: None,
    ],
)
def test_a_function_that_cannot_be_called_is_refused(function):
    with pytest.raises(InputError, match="cannot be called with one picture"):
        feature(columns=X, name="mine")(function)


def test_further_parameters_with_defaults_are_no_photo():
    feature(columns=X, name="mine")(lambda pixels, sigma=2: {"x": sigma})
    assert not picture_feature("mine").takes_photo


def test_the_same_module_replaces_its_feature_and_another_one_does_not():
    def mine(pixels):
        return {"x": 1}

    feature(columns=X)(mine)
    feature(columns=X, version=2)(mine)
    assert picture_feature("mine").version == 2
    mine.__module__ = "elsewhere"
    with pytest.raises(InputError, match="Two features are called mine"):
        feature(columns=X)(mine)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="There is no feature of a picture called 'photo_qualty'") as error:
        picture_feature("photo_qualty")
    assert error.value.remedy == "--feature photo_quality"


def test_a_partial_function_needs_a_name():
    def power(exponent, pixels):
        return {"x": pixels.mean() ** exponent}

    with pytest.raises(InputError, match="A feature is called ''"):
        feature(columns=X)(functools.partial(power, 2))
    feature(columns=X, name="squared")(functools.partial(power, 2))
    assert not picture_feature("squared").takes_photo
