"""The JSON schemas of conf/, taken apart: which members there are, and what each may be."""

import json

from conftest import ROOT

CONF = ROOT / "conf"
NAMES = ("psgate", "clients", "operations")


class Schema:
    """One schema. A place is a tuple of member names, 0 for an element, NAME for any name."""

    def __init__(self, name):
        self.name = name
        self.text = json.loads((CONF / f"{name}.schema.json").read_text())

    def resolved(self, schema):
        """The schema behind a $ref, or the last of several, with what stands beside it."""
        if "anyOf" in schema:
            return {**self.resolved(schema["anyOf"][-1]), **schema}
        if "$ref" not in schema:
            return schema
        name = schema["$ref"].rpartition("/")[2]
        return {"kind": name, **self.resolved(self.text["$defs"][name]), **schema}

    def members(self, schema=None, place=()):
        """Every member, at every depth, as (place, resolved schema)."""
        schema = self.resolved(self.text if schema is None else schema)
        for key, member in schema.get("properties", {}).items():
            yield (*place, key), self.resolved(member)
            yield from self.members(member, (*place, key))
        if isinstance(schema.get("additionalProperties"), dict):
            yield from self.members(schema["additionalProperties"], (*place, "NAME"))
        if "items" in schema:
            yield from self.members(schema["items"], (*place, 0))

    def objects(self):
        """Every place at which an object stands."""
        return sorted({place[:-1] for place, _ in self.members()}, key=str)


def dotted(place):
    """A place as documents and messages write it: listen[].tls.certificate."""
    return ".".join(map(str, place)).replace(".0", "[]")
