"""`python -m glaze_plugin.cli` is `glaze`."""

from glaze_plugin.cli import main

raise SystemExit(main())
