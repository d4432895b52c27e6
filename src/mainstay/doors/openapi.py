"""The description of the HTTP door (OpenAPI 3.1), drawn from the operations themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_type_hints

import msgspec

from mainstay import __version__
from mainstay.doors.inputs import offered
from mainstay.doors.names import api_path, name_of
from mainstay.kernel.operation import Operation

_REFERENCE = "#/components/schemas/{name}"


def result_type(operation: Operation[Any, Any]) -> Any:
    """What the JSON of the operation's result is, as far as its annotations say."""
    teller = operation.as_json or operation.run
    found = get_type_hints(teller).get("return", Any)
    return Any if found is object else found


def describe(operations: Sequence[Operation[Any, Any]]) -> dict[str, Any]:
    """The whole document; only operations with the HTTP door are in it."""
    listed = [operation for operation in operations if "http" in operation.doors]
    results = list(map(result_type, listed))
    if not _drawable(results):  # all together first: each by itself costs a server's start a tenth of a second
        results = [kind if _drawable([kind]) else Any for kind in results]
    references, components = msgspec.json.schema_components(
        [*(operation.request for operation in listed), *results], ref_template=_REFERENCE)
    asked, answered = references[:len(listed)], references[len(listed):]
    paths = {api_path(operation): {"get" if operation.scope == "read" else "post":
                                  _describe_one(operation, _fields(request, components, operation), result)}
             for operation, request, result in zip(listed, asked, answered, strict=True)}
    requests = {request["$ref"] for request in asked}
    schemas = {name: schema for name, schema in components.items() if _REFERENCE.format(name=name) not in requests}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mainstay", "version": __version__,
                 "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
                 "description": "Every verb of Mainstay over HTTP. `X-Mainstay-Exit` carries the exit code that the "
                                "command would have ended with."},
        "servers": [{"url": "/"}],
        "tags": [{"name": word} for word in dict.fromkeys(_tag(operation) for operation in listed)],
        "paths": paths,
        "components": {"schemas": {**schemas, "Error": _ERROR}, "securitySchemes": _WAYS_IN},
        "security": [{"token": []}, {"session": []}],
    }


def _tag(operation: Operation[Any, Any]) -> str:
    return operation.word or "house"


def _drawable(kinds: Sequence[Any]) -> bool:
    """Whether msgspec can say what the types look like; where it cannot, the document says nothing rather than lies."""
    try:
        msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    except (TypeError, NotImplementedError):
        return False
    return True


def _fields(reference: dict[str, Any], components: dict[str, Any], operation: Operation[Any, Any]) -> dict[str, Any]:
    """The request's schema without the fields that are for the command line alone, with their help."""
    whole = components[reference["$ref"].rpartition("/")[2]]
    properties, required = {}, []
    for argument in offered(operation.request):
        schema = {**whole["properties"][argument.name], "description": argument.help}
        if argument.choices:
            schema["enum"] = list(argument.choices) + ([None] if argument.default is None else [])
        properties[argument.name] = schema
        if argument.required:
            required.append(argument.name)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _describe_one(operation: Operation[Any, Any], fields: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": name_of(operation).replace(" ", "_").replace("-", "_"),
        "tags": [_tag(operation)],
        "summary": operation.summary,
        "description": "Exit codes: " + "; ".join(f"{code}: {text}" for code, text in operation.exit_codes),
        "responses": {"202" if operation.follow else "200": {
            "description": "begun; it goes on, and can be followed" if operation.follow else "the result",
            "headers": {"X-Mainstay-Exit": _EXIT, **({"Location": _PLACE} if operation.follow else {})},
            "content": {"application/json": {"schema": result}}}, **_REFUSALS},
        "x-scope": operation.scope,
    }
    if operation.scope == "read":
        told["parameters"] = [
            {"name": name, "in": "query", "required": name in fields["required"], "schema": schema,
             "description": schema["description"]} for name, schema in fields["properties"].items()]
    else:
        told["requestBody"] = {"required": bool(fields["required"]),
                               "content": {"application/json": {"schema": fields}}}
    return told


_EXIT = {"description": "the exit code of the command", "schema": {"type": "integer"}}
_PLACE = {"description": "where it can be followed", "schema": {"type": "string"}}
_REFUSALS = {
    status: {"description": text, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    for status, text in (
        ("400", "the request cannot be used"), ("401", "nobody is logged in, or the token opens nothing"),
        ("403", "the caller may not do this"), ("404", "nothing carries the name, or nothing was measured"),
        ("429", "this client asks too fast"))
}
_WAYS_IN = {
    "token": {"type": "http", "scheme": "bearer", "description": "a token made on the server's machine"},
    "session": {"type": "apiKey", "in": "cookie", "name": "mainstay_session",
                "description": "a browser that logged in; what changes something also needs X-CSRF-Token"},
}
_ERROR = {
    "type": "object", "required": ["error"],
    "properties": {"error": {
        "type": "object", "required": ["code", "message", "way_out"],
        "properties": {
            "code": {"type": "string", "description": "stable"}, "message": {"type": "string"},
            "way_out": {"type": "string", "description": "what to do about it"},
            "findings": {"type": "array", "items": {"type": "object"},
                         "description": "every mistake in the user's files, with its place"}}}},
}
