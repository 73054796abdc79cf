"""The command line, as `python -m nncodec`."""

from nncodec.commands.start import main

if __name__ == "__main__":
    main()
