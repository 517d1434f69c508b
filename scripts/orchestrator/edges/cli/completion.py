"""completion: the script that completes our commands in a shell."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Prints a completion script: `eval "$(orchestrator completion bash)"` in ~/.bashrc."""
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.find_root().command, {}, "orchestrator", "_ORCHESTRATOR_COMPLETE").source())
