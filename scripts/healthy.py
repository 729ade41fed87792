"""Whether Parley answers on this machine, over HTTP or HTTPS; for a container's health check."""

from __future__ import annotations

import os
import ssl
import sys
import urllib.error
import urllib.request


def main() -> int:
    scheme = "https" if os.environ.get("PARLEY_HTTPS") else "http"
    address = f"{scheme}://127.0.0.1:{os.environ.get('PARLEY_PORT', '7860')}/health"
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE  # it is this machine itself
    try:
        with urllib.request.urlopen(address, timeout=4, context=anyone) as answer:
            return 0 if answer.status == 200 else 1
    except (urllib.error.URLError, OSError):
        return 1


if __name__ == "__main__":
    sys.exit(main())
