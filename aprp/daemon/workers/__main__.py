"""The command of a worker; only the parent runs it."""

from aprp.daemon.workers.worker import main

if __name__ == "__main__":
    main()
