"""When another response may continue a file that was begun, and when to request one."""
