"""`python -m sipcore`."""

import sys

from sipcore.cli import main

sys.exit(main())
