"""Whether a service of this machine is ready, as an exit status: `python -m servicekit.probe 9100`.

Images have no curl, and a health check runs often: this one imports nothing but the standard
library and takes a few hundredths of a second.
"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Sequence

_TIMEOUT_S = 3.0


def ready(port: int, host: str = "127.0.0.1") -> bool:
    """Whether `/ready` answers 200 within three seconds."""
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main(arguments: Sequence[str]) -> int:
    """0 if the service is ready, 1 if it is not, 2 if no port was given."""
    match arguments:
        case [port] if port.isdecimal():
            return 0 if ready(int(port)) else 1
        case _:
            sys.stderr.write("usage: python -m servicekit.probe PORT\n")
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
