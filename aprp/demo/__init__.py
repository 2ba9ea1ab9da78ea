"""The demonstration: a clip, mirrors of it on loopback at bounded speeds, and a page to watch it.

Nothing outside the process is needed, nor reached.
"""
