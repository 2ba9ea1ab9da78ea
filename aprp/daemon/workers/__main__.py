"""The command of a worker; only the parent runs it."""

import sys

from aprp.daemon.workers.worker import main

if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
