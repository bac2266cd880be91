"""The options of training and fine-tuning: keyword arguments are the fields."""

from __future__ import annotations

from dataclasses import fields
from typing import get_type_hints

import pytest

from photogenic.models.options import FinetuneArguments, FinetuneOptions, TrainArguments, TrainOptions


@pytest.mark.parametrize(("arguments", "kind"), [(TrainArguments, TrainOptions), (FinetuneArguments, FinetuneOptions)])
def test_keyword_arguments_are_the_fields(arguments, kind):
    assert get_type_hints(arguments) == get_type_hints(kind)
    assert list(get_type_hints(arguments)) == [field.name for field in fields(kind)]
