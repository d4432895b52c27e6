"""The description of the HTTP door says what the door does."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.doors.openapi import describe
from toy_server import OPERATIONS, Client, toy_app


@pytest.fixture
def document() -> dict[str, Any]:
    return dict(Client(toy_app()).get("/api/v1/openapi.json").json())


def references(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(one) for one in value.values())) if value else own
    if isinstance(value, list):
        return set().union(*(references(one) for one in value))
    return set()


def test_every_operation_with_the_http_door_is_described_under_its_method(document: dict[str, Any]) -> None:
    assert {path: set(methods) for path, methods in document["paths"].items()} == {
        "/api/v1/slo/report": {"get"}, "/api/v1/slo/freeze": {"post"}, "/api/v1/slo/thaw": {"post"},
        "/api/v1/slo/suggest": {"get"}, "/api/v1/check": {"get"}}


def test_the_document_has_what_openapi_3_1_asks_for(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert {"title", "version"} <= set(document["info"])
    identities = []
    for methods in document["paths"].values():
        for told in methods.values():
            identities.append(told["operationId"])
            assert told["responses"]
            for response in told["responses"].values():
                assert response["description"]
            for parameter in told.get("parameters", ()):
                assert {"name", "in", "schema"} <= set(parameter)
    assert len(identities) == len(set(identities))


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= known


def test_what_is_for_the_command_line_alone_is_not_described(document: dict[str, Any]) -> None:
    names = [one["name"] for one in document["paths"]["/api/v1/slo/report"]["get"]["parameters"]]
    assert names == ["name", "window", "share", "label", "order", "whole"]


def test_the_choices_of_a_field_are_described(document: dict[str, Any]) -> None:
    by_name = {one["name"]: one for one in document["paths"]["/api/v1/slo/report"]["get"]["parameters"]}
    assert by_name["order"]["schema"]["enum"] == ["worst", "name"]


def test_the_body_says_which_fields_are_needed(document: dict[str, Any]) -> None:
    body = document["paths"]["/api/v1/slo/freeze"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert (schema["required"], schema["additionalProperties"]) == (["service"], False)


def test_the_result_is_described_by_its_type(document: dict[str, Any]) -> None:
    answer = document["paths"]["/api/v1/slo/report"]["get"]["responses"]["200"]["content"]["application/json"]
    assert answer["schema"] == {"$ref": "#/components/schemas/Report"}
    assert set(document["components"]["schemas"]["Report"]["properties"]) == {
        "name", "window", "labels", "sli", "status"}


def test_no_operation_at_all_is_described_too() -> None:
    assert describe(())["paths"] == {}
    assert describe(OPERATIONS[5:])["paths"] == {}
