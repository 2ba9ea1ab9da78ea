"""The real scheduler against simulated sources on a simulated clock.

Deterministic: the same scenario and seed give the same trace. It steps from event to event.
"""
