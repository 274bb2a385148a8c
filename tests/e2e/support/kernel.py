"""What the kernel holds of a TCP connection over 127.0.0.1: sent and not read yet."""

import array
import fcntl
import re
import termios

from support.waiting import wait_until

ESTABLISHED = 1
ROW = re.compile(r" *\d+: \w+:(\w+) \w+:(\w+) (\w+) (\w+):(\w+) ")


class Connection:
    """One end of a connection; None and zero of everything once that end is gone."""

    def __init__(self, local_port, peer_port):
        self.state, self.unsent, self.unread = None, 0, 0
        with open("/proc/net/tcp") as table:
            for line in table:
                row = ROW.match(line)
                if row and (int(row[1], 16), int(row[2], 16)) == (local_port, peer_port):
                    self.state, self.unsent, self.unread = (int(text, 16) for text in row.group(3, 4, 5))


def ports(sock):
    return sock.getsockname()[1], sock.getpeername()[1]


def other_end(sock):
    here, there = ports(sock)
    return Connection(there, here)


def inode_of_other_end(sock):
    """The inode of the socket at the other end, as the links in /proc/PID/fd name it."""
    here, there = ports(sock)
    with open("/proc/net/tcp") as table:
        for line in table:
            row = ROW.match(line)
            if row and (int(row[1], 16), int(row[2], 16)) == (there, here):
                return int(line.split()[9])
    raise AssertionError("there is no such connection")


def wait_taken(sock):
    """Until the gateway, at the other end, has read all that was sent."""
    here, there = ports(sock)
    wait_until(lambda: not Connection(here, there).unsent and not Connection(there, here).unread,
               "the gateway to read what was sent")


def held_for(sock):
    """How many bytes have left the other end that were not read at this one."""
    unread = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, unread)
    return unread[0] + other_end(sock).unsent
