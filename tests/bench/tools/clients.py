"""A clients file with many clients in it: clients.py FROM TO COUNT [TOKENS] [--limits]

TO gets the clients of FROM and COUNT more; TOKENS their tokens, a line each. With --limits,
all have limits that none of them reaches.
"""

import base64
import hashlib
import json
import os
import secrets
import sys


def new_token():
    """As `psgate token create` makes them: 256 random bits and a checksum."""
    token = "psgate_" + secrets.token_urlsafe(32)
    checksum = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest())[:6].decode()
    return f"{token}_{checksum}"


def main(source, target, count, tokens_file=None, with_limits=False):
    with open(source, encoding="ascii") as file:
        clients = json.load(file)["clients"]
    tokens = [new_token() for _ in range(int(count))]
    clients += [{"name": f"bench-{number}", "token_sha256": hashlib.sha256(token.encode()).hexdigest()}
                for number, token in enumerate(tokens)]
    for client in clients if with_limits else ():
        client.update(rate="1000000/s", burst=1000000, concurrency=1000)
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        json.dump({"clients": clients}, file, indent=2)
    if tokens_file:
        with open(os.open(tokens_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.writelines(token + "\n" for token in tokens)


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--limits"]
    main(*arguments, with_limits="--limits" in sys.argv)
