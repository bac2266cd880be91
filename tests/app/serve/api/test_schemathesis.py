"""Valid and invalid requests generated from the description: each gets a described answer."""

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from photogenic.app.serve.api.arrow_body import ARROW
from photogenic.app.serve.api.openapi import describe
from photogenic.app.serve.http.limits import Limits

EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "10"))
RIGHT, WRONG = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
CASES = [
    pytest.param(path, method, mode, id=f"{method} {path} {mode.name}")
    for path, methods in describe(Limits(), token=False)["paths"].items()
    for method, told in methods.items()
    for mode in (RIGHT, WRONG)
    if mode == RIGHT
    or {"parameters", "requestBody"} & told.keys()  # other endpoints have no input that could be invalid
]

MEANING = ("/sql", "/sql/export", "/features", "/similar", "/similar/arrow", "/predict")


@schemathesis.serializer(ARROW)
def as_bytes(_, value):
    """Send what is generated for a stream of Arrow as it is: random bytes, which no server can read."""
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def described(server):
    return schemathesis.openapi.from_url(f"{server.url}/api/openapi.json")


@pytest.mark.parametrize(("path", "method", "mode"), CASES)
def test_answers_are_as_described(described, path, method, mode):
    operation = described[path][method.upper()]

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=mode))
    def answers(case):
        response = case.call(timeout=30)
        # A text of the right type can still be invalid SQL, an unknown encoder or no instant; a body can be too long.
        of_moment = {"as_of", "known_at"} & set(case.query or ())
        left_out = [positive_data_acceptance] if path in MEANING or of_moment else []
        # A form has no types: an empty list is an absent field.
        form = case.media_type == "multipart/form-data"
        left_out += [negative_data_rejection] if form or response.status_code == 413 else []
        case.validate_response(response, excluded_checks=left_out)

    answers()
