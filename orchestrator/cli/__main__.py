"""`python -m orchestrator.cli` is `dreamline`: for processes that start others of the same installation."""

from orchestrator.cli import main

main()
