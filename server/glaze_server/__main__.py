"""`python -m glaze_server` runs the daemon in the foreground."""

from glaze_server.daemon import main

if __name__ == "__main__":
    raise SystemExit(main())
