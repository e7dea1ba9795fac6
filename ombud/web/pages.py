"""The pages: what this is, and how to call it, made from the API's document. No scripts, nothing from anywhere else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cached_property
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response

from ombud.web import openapi

_CSP = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_CODE = re.compile(r"`([^`]*)`")


class Pages:
    """Everything is made once, when it is first asked for; the pages say the same to everyone."""

    def __init__(self, document: Callable[[], dict[str, Any]]) -> None:
        self._make_document = document
        self._templates = Environment(
            loader=PackageLoader("ombud.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["said"] = said

    async def home(self, request: Request) -> Response:
        return _html(self._home)

    async def docs(self, request: Request) -> Response:
        return _html(self._docs)

    async def document(self, request: Request) -> Response:
        return Response(json.dumps(self._document, ensure_ascii=False).encode(), media_type="application/json")

    async def style(self, request: Request) -> Response:
        return Response(self._style, 200, {"Cache-Control": "public, max-age=3600"}, "text/css")

    @cached_property
    def _document(self) -> dict[str, Any]:
        return self._make_document()

    @cached_property
    def _home(self) -> str:
        return self._templates.get_template("home.html").render(version=self._document["info"]["version"])

    @cached_property
    def _docs(self) -> str:
        reader = _Reader(self._document)
        return self._templates.get_template("docs.html").render(
            about=self._document["info"]["description"], version=self._document["info"]["version"],
            operations=reader.operations(), errors=openapi.error_list(),
        )  # fmt: skip

    @cached_property
    def _style(self) -> bytes:
        return resources.files("ombud.web").joinpath("static/style.css").read_bytes()


def said(text: str) -> Markup:
    """Plain text as HTML: paragraphs where a line is empty, `code` in back quotes, and nothing else."""
    paragraphs = [
        _CODE.sub(r"<code>\1</code>", str(escape(paragraph))) for paragraph in re.split(r"\n\s*\n", text.strip())
    ]
    return Markup("".join(f"<p>{paragraph}</p>" for paragraph in paragraphs))  # noqa: S704 - escaped on the line above


def _html(page: str) -> Response:
    return Response(page, 200, {"Content-Security-Policy": _CSP}, "text/html")


class _Reader:
    """Reads the document for the page: operations with their parameters, fields and answers."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._schemas: dict[str, Any] = document["components"]["schemas"]

    def operations(self) -> list[dict[str, Any]]:
        return [
            self._operation(path, method, operation)
            for path, methods in self._document["paths"].items()
            for method, operation in methods.items()
        ]

    def _operation(self, path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        return {
            "id": operation["operationId"], "method": method.upper(), "path": path, "summary": operation["summary"],
            "description": operation["description"], "keyed": "security" in operation,
            "parameters": [self._parameter(one) for one in operation.get("parameters", ())],
            "bodies": [self._body(path, one, content["examples"]) for one in self._named(content.get("schema", {}))],
            "answers": [self._answer(status, answer) for status, answer in operation["responses"].items() if status < "300"],
            "refusals": [(status, answer["description"]) for status, answer in operation["responses"].items() if status >= "300"],
        }  # fmt: skip

    def _parameter(self, parameter: dict[str, Any]) -> dict[str, Any]:
        schema = parameter["schema"]
        return {
            "name": parameter["name"], "place": parameter["in"], "required": parameter.get("required", False),
            "type": self._type(schema), "description": parameter.get("description") or schema.get("description", ""),
        }  # fmt: skip

    def _body(self, path: str, name: str, examples: dict[str, Any]) -> dict[str, Any]:
        example = json.dumps(examples[name]["value"], ensure_ascii=False, indent=2)
        return {"path": path, "example": example, **self._object(name)}

    def _answer(self, status: str, answer: dict[str, Any]) -> dict[str, Any]:
        names = self._named(answer["content"]["application/json"]["schema"])
        return {
            "status": status,
            "description": answer["description"],
            "objects": [self._object(name) for name in names],
        }

    def _object(self, name: str) -> dict[str, Any]:
        schema = self._schemas[name]
        required = schema.get("required", ())
        return {
            "name": name, "description": schema.get("description", ""),
            "fields": [
                {"name": key, "type": self._type(one), "required": key in required, "description": one.get("description", "")}
                for key, one in schema.get("properties", {}).items()
            ],
            "parts": [self._object(part) for part in self._parts(schema)],
        }  # fmt: skip

    def _parts(self, schema: dict[str, Any]) -> list[str]:
        """The objects that the object's fields are made of."""
        found = [part for one in schema.get("properties", {}).values() for part in self._named(one)]
        return [part for part in dict.fromkeys(found) if "properties" in self._schemas[part]]

    def _named(self, schema: dict[str, Any]) -> list[str]:
        if "$ref" in schema:
            return [str(schema["$ref"]).rpartition("/")[2]]
        inner = [*schema.get("anyOf", ()), *([schema["items"]] if isinstance(schema.get("items"), dict) else ())]
        return [name for one in inner for name in self._named(one)]

    def _type(self, schema: dict[str, Any]) -> str:
        """What a field holds, in words."""
        if "$ref" in schema:
            name = self._named(schema)[0]
            values = self._schemas[name].get("enum")
            return f"one of {', '.join(values)}" if values else name
        if "format" in schema or "contentEncoding" in schema:
            return str(schema.get("format") or schema["contentEncoding"])
        if "anyOf" in schema:
            kinds = [self._type(one) for one in schema["anyOf"] if one.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
        if "enum" in schema:
            return f"one of {', '.join(schema['enum'])}"
        if schema.get("type") == "array":
            return f"list of {self._type(schema.get('items', {}))}"
        kind = {"string": "text", "integer": "number", "number": "number", "boolean": "true or false"}
        return str(kind.get(schema.get("type", ""), schema.get("type", "any value")))
