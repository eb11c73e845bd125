"""Settings of the demo's gunicorn that stand in a file, because gunicorn skips names in it that it does not know."""

# As an option, it would stop the versions that have no such socket. It belongs into nobody's home directory.
control_socket_disable = True
# An access log may hold longer targets than the 4,094 bytes that gunicorn takes by default.
limit_request_line = 8190
# A worker that is told to end before it listens to signals does not hear it, and would be waited for longer than
# the demo waits for gunicorn. It has served nobody yet.
graceful_timeout = 10
