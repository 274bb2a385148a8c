"""The release build has what makes an attacker's work harder, and says so by its own bytes."""

import platform
import re
import subprocess

import pytest

from conftest import ROOT

IS_X86 = platform.machine() == "x86_64"


@pytest.fixture(scope="module")
def headers(binary):
    """What readelf says of the program's headers and dynamic section."""
    return subprocess.run(["readelf", "-W", "-h", "-l", "-d", binary], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def symbols(binary):
    """{name: (value, kind)} of readelf's symbols."""
    said = subprocess.run(["readelf", "-W", "-s", binary], check=True, capture_output=True, text=True).stdout
    rows = re.findall(r"^ *\d+: ([0-9a-f]+) +\S+ (\S+) +\S+ +\S+ +\S+ ([^@\s]+)", said, re.M)
    return {name: (int(value, 16), kind) for value, kind, name in rows}


@pytest.fixture(scope="module")
def flags(binary):
    """The compiler's options for each object of the program, as the build has them."""
    path = binary.parent / "build.ninja"
    if not path.exists():
        pytest.skip("this program was not built here")
    text = path.read_text()
    assert str(ROOT / "proxy") in text
    return re.findall(r"^build proxy/CMakeFiles/\S+: C_COMPILER\S* .*\n(?:  .*\n)*?  FLAGS = (.*)$", text, re.M)


def test_it_is_position_independent(headers):
    assert re.search(r"Type: +DYN", headers)
    assert re.search(r"\(FLAGS_1\).* PIE\b", headers)


def test_its_relocations_are_read_only_before_it_runs(headers):
    assert re.search(r"^ +GNU_RELRO ", headers, re.M)
    assert re.search(r"\(FLAGS\) +BIND_NOW|\(FLAGS_1\).* NOW\b", headers)


def test_its_stack_is_not_executable(headers):
    assert re.search(r"^ +GNU_STACK .* RW +0x", headers, re.M)


def test_no_segment_is_writable_and_executable(headers):
    assert not re.search(r"^ +LOAD .* RWE? *E", headers, re.M)
    assert re.search(r"^ +LOAD .* R E ", headers, re.M)


def test_nothing_is_loaded_from_a_path_of_the_build(headers):
    assert not re.search(r"\((RPATH|RUNPATH)\)", headers)


def test_it_checks_its_stack_and_its_copies(symbols):
    assert "__stack_chk_fail" in symbols
    assert {"__memcpy_chk", "__snprintf_chk", "__explicit_bzero_chk"} <= symbols.keys()


@pytest.mark.skipif(not IS_X86, reason="endbr64 is x86's")
def test_its_functions_begin_where_indirect_branches_may_land(binary, symbols):
    address = symbols["main"][0]
    said = subprocess.run(["objdump", "-d", f"--start-address={address}", f"--stop-address={address + 4}", binary],
                          check=True, capture_output=True, text=True).stdout
    assert "endbr64" in said


@pytest.mark.parametrize("flag", [
    "-O2", "-flto(=auto)?", "-fstack-protector-strong", "-fstack-clash-protection", "-D_FORTIFY_SOURCE=3",
    "-fPI[EC]", "-fcf-protection=full" if IS_X86 else "-mbranch-protection=standard"])
def test_every_object_is_compiled_with(flags, flag):
    assert len(flags) > 100
    assert [line for line in flags if not re.search(rf"(^| ){flag}( |$)", line)] == []
