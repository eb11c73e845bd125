"""What `startproject` writes: it names the settings only where the environment does not."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.django.project.settings")
    execute_from_command_line(sys.argv)
