"""The header of the PROXY protocol, version 2, as load balancers write it."""

import ipaddress
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21


def raw(command, family, rest):
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


def header(source, port=4711, fields=b""):
    """For a TCP connection from that address; it went to another one of the same family."""
    address = ipaddress.ip_address(source)
    target = ipaddress.ip_address("198.51.100.1" if address.version == 4 else "2001:db8::2")
    rest = address.packed + target.packed + struct.pack("!HH", port, 443) + fields
    return raw(PROXY, 0x11 if address.version == 4 else 0x21, rest)


def local():
    """The balancer's own connection: a health check."""
    return raw(LOCAL, 0, b"")


def of_unix(path=b"/run/client.sock"):
    return raw(PROXY, 0x31, path.ljust(108, b"\0") + b"/run/front.sock".ljust(108, b"\0"))
