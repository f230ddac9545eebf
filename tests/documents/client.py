"""The program `tagboat` in the shell of the documents' commands.

It takes a command to the process of the test, which runs it: starting it here would take half a
second each time.
"""

import json
import os
import socket
import sys

with socket.create_connection(("127.0.0.1", int(os.environ["DOCUMENTS_PORT"]))) as caller:
    asked = {
        "words": sys.argv[1:],
        "environ": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109 - pathlib takes longer than all else here
        "piped": sys.stdin.buffer.read().decode("latin-1"),
    }
    caller.sendall(json.dumps(asked).encode())
    caller.shutdown(socket.SHUT_WR)
    with caller.makefile("rb") as answer:
        done = json.loads(answer.read())
sys.stdout.buffer.write(done["out"].encode("latin-1"))
sys.stderr.buffer.write(done["err"].encode("latin-1"))
sys.stdout.flush()
sys.exit(done["code"])
