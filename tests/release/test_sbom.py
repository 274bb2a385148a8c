"""The list of what the program is made of: it names what the program loads, no more and no less."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest

EMBEDDED = {"dygraph.min.js", "dygraph.min.css"}
OPENED = "libcurl.so.4"  # while it runs

# What CycloneDX 1.4 asks of the members that are used here. Its own schema is no Debian package.
COMPONENT = {
    "type": "object", "required": ["type", "name"], "additionalProperties": False,
    "properties": {
        "type": {"enum": ["application", "library", "file"]},
        "bom-ref": {"type": "string", "minLength": 1},
        "name": {"type": "string"}, "version": {"type": "string"},
        "purl": {"type": "string", "pattern": "^pkg:deb/debian/[^@:+]+@[^:+]+\\?arch=[a-z0-9]+$"},
        "hashes": {"type": "array", "items": {
            "type": "object", "required": ["alg", "content"], "additionalProperties": False,
            "properties": {"alg": {"const": "SHA-256"}, "content": {"pattern": "^[0-9a-f]{64}$"}}}},
        "licenses": {"type": "array", "minItems": 1, "items": {
            "type": "object", "required": ["license"], "additionalProperties": False,
            "properties": {"license": {"type": "object", "minProperties": 1, "maxProperties": 1,
                                       "properties": {"id": {"const": "MIT"}, "name": {"type": "string"}},
                                       "additionalProperties": False}}}},
        "components": {"type": "array", "items": {"$ref": "#/$defs/component"}, "uniqueItems": True}}}
SCHEMA = {
    "$defs": {"component": COMPONENT},
    "type": "object", "required": ["bomFormat", "specVersion", "version"], "additionalProperties": False,
    "properties": {
        "bomFormat": {"const": "CycloneDX"}, "specVersion": {"const": "1.4"}, "version": {"const": 1},
        "metadata": {"type": "object", "additionalProperties": False,
                     "properties": {"component": {"$ref": "#/$defs/component"}}},
        "components": {"type": "array", "items": {"$ref": "#/$defs/component"}, "uniqueItems": True},
        "dependencies": {"type": "array", "uniqueItems": True, "items": {
            "type": "object", "required": ["ref"], "additionalProperties": False,
            "properties": {"ref": {"type": "string"},
                           "dependsOn": {"type": "array", "uniqueItems": True, "items": {"type": "string"}}}}}}}


@pytest.fixture(scope="module")
def sbom(binary):
    return json.loads((binary.parent / "deploy" / "psgate.cdx.json").read_text())


@pytest.fixture(scope="module")
def files(sbom):
    """{path: component} of all files that are named, and {path: package's component}."""
    files, packages = {}, {}
    for component in sbom["components"]:
        for part in component.get("components", [component]):
            files[part["bom-ref"]] = part
            packages[part["bom-ref"]] = component
    return files, packages


def needed_by(path):
    said = subprocess.run(["readelf", "-dW", path], check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"Shared library: \[(.+)\]", said))


def depends_on(sbom, ref):
    return {Path(path).name for row in sbom["dependencies"] if row["ref"] == ref for path in row["dependsOn"]}


def test_it_is_cyclonedx(sbom):
    jsonschema.validate(sbom, SCHEMA)
    references = [row["ref"] for row in sbom["dependencies"]]
    assert len(references) == len(set(references))


def test_the_program_depends_on_what_it_asks_the_linker_for(sbom, binary):
    assert depends_on(sbom, "psgate") == needed_by(binary) | EMBEDDED | {OPENED}


def test_all_that_is_loaded_is_named_and_nothing_else(files, binary):
    opened = next(path for path in files[0] if Path(path).name == OPENED)
    said = subprocess.run(["ldd", binary, opened], check=True, capture_output=True, text=True).stdout
    loaded = {opened, *re.findall(r"(/\S+) \(0x", said)}
    assert {path for path in files[0] if Path(path).name not in EMBEDDED} == loaded


def test_every_library_depends_on_what_it_asks_the_linker_for(sbom, files):
    for path in files[0]:
        if Path(path).name not in EMBEDDED:
            assert depends_on(sbom, path) == needed_by(path), path


def test_the_hashes_are_those_of_the_files(files):
    for path, part in files[0].items():
        assert part["hashes"][0]["content"] == hashlib.sha256(Path(path).read_bytes()).hexdigest(), path


def test_packages_and_versions_are_those_of_the_files(files):
    for path, package in files[1].items():
        real = Path(path).resolve()
        said = subprocess.run(["dpkg-query", "-S", real, str(real).removeprefix("/usr")], capture_output=True,
                              text=True).stdout
        assert re.match(r"([^ :,]+)", said)[1] == package["name"], path
        version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", re.match(r"([^ ,]+): ", said)[1]],
                                 check=True, capture_output=True, text=True).stdout
        assert version == package["version"]


def test_what_is_compiled_in_is_named(files):
    assert EMBEDDED <= {part["name"] for part in files[0].values()}
