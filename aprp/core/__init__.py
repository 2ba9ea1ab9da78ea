"""What can be decided without a socket: the standard library only, no clock, no random, no log.

``now`` is always an argument, in seconds of whatever clock the caller keeps.
"""
