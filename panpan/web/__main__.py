"""
Serve the pages: python -m panpan.web

Example: python -m panpan.web --host 0.0.0.0 inside a container, whose port is published on 127.0.0.1
"""

from __future__ import annotations

import argparse
import sys
import threading

import uvicorn

from metabase.charts import warm_up
from panpan.errors import PanpanError
from panpan.settings import load_settings, refuse_weak_secrets
from panpan.web.app import build_app


def main() -> int:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m panpan.web", description="Serve panpan's own pages.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    host = parser.parse_args().host
    try:
        settings = load_settings()
        refuse_weak_secrets(settings)
        app = build_app(settings, host=host)
    except PanpanError as error:
        lines = {"error": error.message, "cause": error.explained_cause(), "next": error.next}
        sys.stderr.writelines(f"{label + ':':<7}{text}\n" for label, text in lines.items() if text)
        return error.exit_code
    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()
    uvicorn.run(
        app,
        host=host,
        port=settings.web_port,
        log_level="warning",
        server_header=False,
        proxy_headers=settings.web_proxy is not None,
        forwarded_allow_ips=settings.web_proxy,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
