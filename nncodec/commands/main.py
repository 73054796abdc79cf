"""The command line: the group of all commands.

What is printed goes to standard output, or to standard error where the output itself goes there.
An error is one line on standard error, `nncodec: FILE: what is wrong; what to do`, and exit code 1;
2 is wrong usage, 130 an interruption.
"""

import click

import nncodec
from nncodec.commands.compress import compress, decompress
from nncodec.commands.evaluate import evaluate
from nncodec.commands.inspect import info, models, test
from nncodec.commands.synthesize import synthesize
from nncodec.commands.terminal import Commands
from nncodec.commands.train import train


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(nncodec.__version__, prog_name="nncodec", message="%(prog)s %(version)s")
def main() -> None:
    """Compresses the binary codes that neural image encoders write, without loss.

    A code file is a .npy, .npz or .safetensors with an array of two values or of whole numbers, or
    a .npz with `codes` (packed bits) and `shape`. In place of a file, - is standard input or
    output.

    \b
    Example:
      nncodec compress codes.npz
      nncodec decompress codes.npz.nnb -o again.npz
    """


for command in (compress, decompress, info, models, test, evaluate, synthesize, train):
    main.add_command(command)
