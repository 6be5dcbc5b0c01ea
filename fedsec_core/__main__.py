"""`python -m fedsec_core` is the command `fedsec`."""

from fedsec_core.cli import main

main()
