"""Requests that schemathesis makes from the schema, and from its contradictions: each answer is one of the schema's.

For more of it, against a service that runs:

    flowxfer serve --port 8000 &
    schemathesis run http://127.0.0.1:8000/openapi.json --max-examples 1000 --exclude-checks positive_data_acceptance
"""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.serve.conftest import face, png
from tests.serve.server import serving

OPERATIONS = [("get", path) for path in ("health", "models")] + [
    ("post", path) for path in ("encode", "decode", "mean", "transfer", "sweep", "manipulate", "mix", "sample")
]
FILES = {"faces", "target", "expression", "neutral", "first", "second"}


@pytest.fixture(scope="module")
def schema(tiny_app):
    with serving(tiny_app) as (host, port):
        yield schemathesis.openapi.from_url(f"http://{host}:{port}/openapi.json")


def test_all_operations_are_here(schema):
    operations = [result.ok() for result in schema.get_all_operations()]
    assert {(operation.method, operation.path) for operation in operations} == {
        (method, f"/v1/{path}") for method, path in OPERATIONS
    }


def fuzz(schema, method, path, mode, check):
    strategy = schema[f"/v1/{path}"][method].as_strategy(generation_mode=mode)
    options = settings(
        max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    options(given(case=strategy)(check))()


def validate(case):
    # Random bytes are what the schema asks for in a file, and yet no picture.
    case.call_and_validate(excluded_checks=[positive_data_acceptance])


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_as_the_schema_has_it(schema, method, path):
    fuzz(schema, method, path, GenerationMode.POSITIVE, validate)


@pytest.mark.parametrize(("method", "path"), [operation for operation in OPERATIONS if operation[0] == "post"])
def test_so_is_every_answer_to_what_contradicts_it(schema, method, path):
    fuzz(schema, method, path, GenerationMode.NEGATIVE, validate)


@pytest.mark.parametrize("path", ["encode", "mean", "transfer", "sweep", "mix"])
def test_so_is_every_answer_to_real_pictures_and_random_fields(schema, path):
    statuses = []

    def check(case):
        for field, value in case.body.items():
            if field in FILES:
                case.body[field] = [png(face(index)) for index in range(len(value[:6]))]
        answer = case.call()
        case.validate_response(answer, excluded_checks=[positive_data_acceptance])
        statuses.append(answer.status_code)

    fuzz(schema, "post", path, GenerationMode.POSITIVE, check)
    assert 200 in statuses
