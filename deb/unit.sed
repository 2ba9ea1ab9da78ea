# The unit for the package: its own environment, a user that stays, so that it can own logs and be
# given keys to read, and no Type=notify-reload, which systemd has since 253. kill is the shell's own:
# /bin/kill is in procps, which not every system has.
s|/usr/local/lib/aprp/|/opt/aprp/|
/^# Reload is a hang-up/d
s|^Type=notify-reload|Type=notify\nExecReload=/bin/sh -c "kill -HUP $MAINPID"|
s|^DynamicUser=yes|User=aprp\nGroup=aprp|
