"""The command line. Commands import what they need when they run: `fedsec --help` stays fast."""

from __future__ import annotations

import sys

from fedsec_core.cli.commands import fedsec


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a claim failed, 2 bad input, 130 interrupted."""
    import click

    from fedsec_core.errors import FedsecError, one_line

    verbose = bool({"-v", "--verbose"} & set(sys.argv[1:] if arguments is None else arguments))
    try:
        code = fedsec.main(arguments, prog_name="fedsec", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted: finished rounds are kept", err=True)
        sys.exit(130)
    except FedsecError as error:
        if verbose:
            raise
        click.echo(str(error), err=True)
        sys.exit(2)
    except OSError as error:
        if verbose:
            raise
        click.echo(f"{error.filename or 'input/output'}: {error.strerror or error}", err=True)
        sys.exit(2)
    except Exception as error:
        if verbose:
            raise
        click.echo(f"unexpected: {one_line(error)} (fedsec -v ... shows where)", err=True)
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)
