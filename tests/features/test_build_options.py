"""The options of a build: one list for Python and the command line, and combinations that mean nothing refused."""

from __future__ import annotations

from dataclasses import fields
from typing import get_type_hints

import pytest

from photogenic.features.build_options import BuildArguments, BuildOptions
from photogenic.warehouse import InputError
from photogenic.warehouse.errors import ConflictError


def test_keyword_arguments_are_the_fields():
    arguments = get_type_hints(BuildArguments)
    assert arguments == get_type_hints(BuildOptions)
    assert list(arguments) == [field.name for field in fields(BuildOptions)]


@pytest.mark.parametrize(
    "arguments",
    [
        {"only": "labels", "encoders": ["dlib_face"]},
        {"only": "faces", "flip": True},
        {"only": "faces", "index_memory": 10**9},
        {"only": "embeddings", "neighbours": 5},
        {"only": "labels", "near_duplicates": True},
        {"only": "index", "force": True},
    ],
)
def test_options_of_steps_that_do_not_run_are_refused(arguments):
    with pytest.raises(ConflictError, match=f"--only {arguments['only']} makes no "):
        BuildOptions(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"only": "everything"},
            "--only is 'everything'.\nExpected: one of labels, faces, embeddings, features, index",
        ),
        ({"engine": "flink"}, "--engine is 'flink'.\nExpected: one of duckdb, spark"),
        ({"dtype": "int8"}, "--dtype is 'int8'.\nExpected: one of float32, float16"),
        ({"recall": 2}, "--recall is 2.\nExpected: a number from 0 to 1"),
        ({"facts": "facts"}, "Only Spark has a master and facts"),
        ({"engine": "duckdb", "master": "local"}, "Only Spark has a master and facts"),
    ],
)
def test_words_and_numbers_are_refused_with_what_was_expected(arguments, message):
    with pytest.raises(InputError, match=message) as error:
        BuildOptions(**arguments)
    assert not isinstance(error.value, ConflictError)
